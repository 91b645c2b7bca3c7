#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_command
short_description: Run, schedule, await and cancel commands on servers of an Alpacon workspace
version_added: 1.0.0
description:
  - Submits a command line, a script or a program with its arguments to one server or to many, waits until the commands
    have finished, and returns the exit code and the output of each.
  - Schedules a command for a later time, once, however often the task runs.
  - Awaits commands that an earlier task submitted, and cancels commands that are waiting.
  - A command is submitted at most once. If the answer to a submit is lost, or does not come from the workspace itself,
    the command is looked for there, as long as O(wait_timeout) while the workspace cannot be read, and never submitted
    again.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers.
      - If omitted, the server of the inventory host, by the host's variable C(alpacon_server_id), or else by its name.
      - A UUID saves the request that looks up a name.
    type: list
    elements: str
    aliases: [server]
  line:
    description:
      - The command line, sent as given. It may have up to 2048 characters; workspaces of 2024 accept 512.
      - From ansible-core 2.19 on, it can be given without a name, as in C(ansible web -m
        herdops.alpacon.alpacon_command -a uptime). Older releases need C(-a 'line=uptime').
      - The agent passes it to C(/bin/sh), or splits it at blanks if the workspace does not allow a shell.
      - Everyone who may read commands can see it. Pass secrets in O(env).
      - One of O(line), O(script) and O(argv) is needed, unless O(ids) names the commands.
    type: str
    aliases: [cmd]
  script:
    description:
      - The path of a script on the controller, and behind it the arguments that the script gets. It is split as a shell
        splits words, so a path with blanks needs quotes. Nothing else is expanded; the arguments reach the script as
        they are.
      - The file is looked for as M(ansible.builtin.script) does it, in the folder C(files) of a role and beside the
        playbook. A file that is encrypted with a vault is decrypted.
      - The script is sent along with the command, and is removed from the server when it has ended. It may be written
        in any language that the server knows, which its first line or O(executable) names.
      - Script, arguments and O(stdin) go into one request, with about 1.1 MB of what is compressed already, and more
        of text.
      - Workspaces of 2024, and those of the published API, do not pass it on; the task then fails, and nothing has run.
    type: str
  _script_content:
    description:
      - What the file of O(script) holds, in Base64. The action plugin sets it where the module is shipped to another
        host. A task cannot set it.
    type: str
  argv:
    description:
      - A program and its arguments, as a list. No shell touches them, whether the workspace allows one or not.
      - It is sent along with the command like O(script), so that a long list, O(stdin) and the other options of
        O(script) are possible. It needs the same rule in the access list of the token.
    type: list
    elements: str
  stdin:
    description:
      - What O(script) or O(argv) reads from its standard input, exactly as given. No line break is added. If omitted,
        there is nothing to read.
      - Unlike the values of O(env), it is not masked where the output shows it.
    type: str
  chdir:
    description:
      - The folder in which O(script) or O(argv) runs. A C(~) at its start is a home. If omitted, the home of the user.
      - If it is not there, nothing runs, and the task fails.
    type: str
  executable:
    description:
      - The program that runs O(script), by its name or path. If omitted, the first line of the script names it, or else
        it is run by a shell.
    type: str
  creates:
    description:
      - A path or a pattern of paths on the server. If one is there, O(script) or O(argv) is skipped, and nothing is
        changed on that server. Each server decides for itself, within the same command.
      - A relative one is meant in O(chdir).
    type: str
  removes:
    description:
      - A path or a pattern of paths on the server. If none is there, O(script) or O(argv) is skipped as with
        O(creates).
    type: str
  state:
    description:
      - V(executed) submits the line and, with O(wait), waits until it has finished. This is always a change, unless
        O(reuse_within) finds that the line ran.
      - V(scheduled) makes sure that one command is waiting for O(scheduled_at), or ran at that time.
      - V(finished) awaits the commands that O(ids) names.
      - V(cancelled) makes sure that the commands that O(ids) names, or every matching one on O(servers), will not run.
        What has waited for more than a day behind a hundred later commands of its server is found by O(ids) or with
        O(scheduled_at) only.
    type: str
    default: executed
    choices: [executed, scheduled, finished, cancelled]
  ids:
    description:
      - UUIDs of commands, for O(state=finished) and O(state=cancelled).
    type: list
    elements: str
    aliases: [id]
  shell:
    description:
      - What handles the line. V(system) is the shell of the server, V(internal) the agent itself. Today's agents refuse
        V(osquery). O(script) and O(argv) need V(system).
    type: str
    default: system
    choices: [system, internal, osquery]
  username:
    description:
      - System user to run as. If omitted, the workspace uses the one of the token.
      - If omitted, it is not compared when earlier commands are looked for. Empty or null is refused.
    type: str
  groupname:
    description:
      - System group to run as. If omitted, the workspace decides.
      - If omitted, it is not compared when earlier commands are looked for. Empty or null is refused.
    type: str
  env:
    description:
      - Environment variables of the command, with strings as values.
      - The values are secrets. They appear in no result and no log; a value of four characters or more is masked in the
        output.
      - Only the task that they are given to knows them. If another task shows the output of the same command, give it
        O(env) as well, which O(state=finished) accepts just for that, or C(no_log).
      - Workspaces of 2024, and those of the published API, do not pass it on. There, the task fails before anything is
        submitted. To know, the first task with O(env) of a run makes one or two requests.
      - The agent starts the command in the folder that C(HOME) names. If O(env) sets C(HOME), that changes the working
        directory, and nothing runs where the folder does not exist.
      - Workspaces may take off blanks and line breaks at both ends of a value. With O(line), a warning names the
        variable; with O(script) and O(argv), every value arrives as it is given.
      - With O(script) and O(argv), the names V(RUN), V(BODY), V(P0), V(P1) and so on, and all that begin with
        V(alpacon_), are taken.
    type: dict
  run_after:
    description:
      - UUIDs of commands that must have succeeded first. If one of them fails, the command never runs.
      - If the workspace does not show that it waits for them, the task awaits them before it submits, also with
        O(wait=false); if one of them does not succeed, nothing is submitted. All of them must exist.
    type: list
    elements: str
  work_session:
    description:
      - UUID of a work session, which logins by browser need. API tokens and service tokens do not need one.
    type: str
  purpose:
    description:
      - Why the command is run, for the record of the workspace, in 1 to 2000 characters.
    type: str
  scheduled_at:
    description:
      - When the command is to run, as ISO 8601 with a time zone, such as V(2031-01-01T03:00:00Z). A time without a zone
        is refused, since each server would read it in its own.
      - With O(state=scheduled), a time in the past, by the clock of the workspace, is refused, unless such a command
        was run at that time. If the time passes while the command is still to be submitted to a server, since the
        request budget is used up, it is not submitted there, and its outcome is V(not_tried).
      - If only its answer shows that the workspace took the command too late, it is withdrawn where it still waits;
        else it runs at once. The task fails either way, and says which.
      - With O(state=cancelled), only commands that are scheduled for exactly that time are cancelled.
    type: str
  reschedule:
    description:
      - Whether a command that is waiting for another time is cancelled in favour of the one at O(scheduled_at).
      - With V(false) it stays, and both run.
    type: bool
    default: false
  reuse_within:
    description:
      - With O(state=executed), if a matching command has succeeded within this time, by the clock of the workspace,
        return its result and change nothing.
      - If the answers of the workspace have no C(Date), or commands ended later than that, its clock is not known. Then
        nothing is reused, the line is run again, and a warning says so.
      - Commands are looked for by the time that they were due. What ended more than half an hour after it was due is
        not always found, since it waited for its server or for an approval; then the line is run again. Workspaces of
        2024 do not list when a command was due, so what was scheduled may not be found there either, if it was
        submitted more than half an hour before it ended.
      - A duration such as V(90s), V(10m) or V(1h30m), or a number of seconds.
      - O(env), O(run_after), O(work_session) and O(purpose) are not compared. O(script), O(argv) and what goes with
        them are, and count only if the token's own requester had them carried, as the same user.
    type: str
  fail_if_sent:
    description:
      - With O(state=cancelled), whether it is a failure if a command was already delivered to its server.
    type: bool
    default: true
  offline:
    description:
      - What to do about a server whose agent is not connected, with O(state=executed) and O(state=scheduled).
      - With V(wait), the command waits until the server is back, but no longer than O(wait_timeout). The task says so
        at once, unless O(progress=false). If the workspace accepts no commands for such a server, the outcome is
        V(offline) all the same.
      - With V(fail), the outcome is V(offline) within seconds, and nothing is left behind; the command was not
        submitted, or was cancelled before it was delivered. If the task is for its inventory host, the host is
        unreachable.
      - V(skip) does the same as V(fail), but is no failure. A warning names the servers.
    type: str
    default: wait
    choices: [wait, fail, skip]
  wait:
    description:
      - Whether to wait until the commands have finished.
      - With V(false), the task returns the ids of the commands that it submitted; await them later with
        O(state=finished), which waits whatever this says.
      - A scheduled command is never waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each command from when it was submitted, as a number of seconds or a duration such as
        V(90s), V(10m) or V(1h30m). With O(max_concurrency), the whole task may take many times as long.
      - A command that is not finished by then fails, with its id and its last status in the result. It goes on, unless
        O(cancel_on_timeout) cancels it.
      - If the request budget of the token is used up, commands are submitted later, as long as no more than this has
        passed since the start of the task. Those whose turn has not come by then have the outcome V(not_tried). The
        results of those that were submitted are waited for up to an hour longer.
    type: str
    default: 30m
  wait_for_approval:
    description:
      - What to do if the workspace holds a command until somebody approves it.
      - With V(false), the task fails at once and returns the id, so that the command can be awaited with
        O(state=finished) once it is approved.
      - With V(true), the task goes on waiting. Either way, a command that is held or was rejected is never submitted
        again. One that expired, since nobody approved it in time, is submitted again if the task is retried.
    type: bool
    default: false
  cancel_on_timeout:
    description:
      - Whether to cancel a command that has not been delivered to its server within O(wait_timeout).
      - A command that has been delivered can no longer be stopped.
    type: bool
    default: false
  max_concurrency:
    description:
      - How many commands may be unfinished at the same time, as a number or as a percentage of O(servers).
      - It counts the commands of one task that waits for them. With O(wait=false) and O(state=scheduled) it is refused.
        In a task that each host has for its own server, it has no effect, and a warning says so.
      - If omitted, there is no limit.
    type: str
  max_errors:
    description:
      - How many commands may fail before no more are submitted, as a number or as a percentage of O(servers). In a task
        that each host has for its own server, it has no effect, and a warning says so.
      - Servers that were not tried are named. If omitted, any number may fail.
    type: str
  progress:
    description:
      - Whether to print a line every few seconds that says how many commands are still to be submitted, are running,
        are done and have failed.
      - If omitted, it is on for several servers or ids, and off for one. A module that runs on another host cannot
        print it.
    type: bool
  success_codes:
    description:
      - Exit codes that count as success, at least one.
    type: list
    elements: int
    default: [0]
  output_limit:
    description:
      - How many characters of the end of each output to return. If omitted, all of it.
      - What is cut off is let go as soon as a command has ended, so that large outputs of many servers need little
        memory. The first line that is left may lack its beginning.
    type: int
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is ever submitted or cancelled. O(state=executed) is predicted as a change; O(state=scheduled) and
        O(state=cancelled) are decided by reading.
      - What is only predicted has no id. With O(state=finished) and O(state=cancelled), null elements of O(ids) are
        left out in check mode, so that nothing is awaited or cancelled where there are no others; those of O(run_after)
        are left out as well.
      - For a single command that is predicted and would be awaited, RV(rc) is 0 and assumed, and the output is empty.
  diff_mode:
    support: full
    details:
      - Shows what is scheduled and what is cancelled. O(state=executed) and O(state=finished) have nothing to show.
  idempotent:
    support: partial
    details:
      - O(state=scheduled) and O(state=cancelled) are, and so is O(state=finished) without O(cancel_on_timeout).
        O(state=executed) is with O(reuse_within).
  async:
    details:
      - Submit with O(wait=false), and await the commands later with O(state=finished).
notes:
  - Two commands match if they have the same server, line and O(shell) and, if given, the same O(username) and
    O(groupname); scheduled commands also need the same time.
  - A server gets the command of a task once. If several hosts of a task name the same servers in O(servers), the first
    of them submits, and the others fail before they send anything; such a task needs C(run_once=true), which strategies
    such as C(free) and C(host_pinned) ignore. This does not affect other tasks, other items of a loop or other
    commands. In a task that is delegated to a host other than the controller, all hosts must name a server in the same
    way, by its name or by its UUID.
  - With C(serial), C(run_once=true) picks one host in each batch, and those of later batches fail in the same way. Move
    such a task into a play of its own without C(serial). If each batch is to submit the same to the same servers, add
    C(loop="{{ ansible_play_batch[:1] }}"). Tasks that name other servers in each batch need nothing.
  - A task that is retried, with C(until) or C(retries), does not submit a command again that may have been accepted or
    has not ended yet, or that was denied or rejected. It looks for that command, awaits it and returns what it finds. A
    command that has ended otherwise, or certainly was not accepted, is submitted again, so that C(until) can poll with
    it.
  - When a line ends, the agent kills (SIGKILL) every process in its process group, even if the line succeeded. A
    process that is to survive needs a session of its own and must detach from the output, as in C(setsid -w sh -c 'job
    >/dev/null 2>&1 </dev/null &'), or is started by C(systemd-run --collect job).
  - With O(script) and O(argv), the line of the command is C(/bin/sh -c $RUN LABEL sha256:DIGEST). The label is
    C(script:) and the name of the file, or C(argv:) and the name of the program. What is to run travels beside it in
    environment variables, and the server checks the digest before it runs anything. The digest covers script,
    arguments, O(stdin), O(chdir), O(executable), O(creates) and O(removes), but neither O(env) nor the path of the
    file. So two such commands match if all of that is the same.
  - Everyone who may read commands can read the digest, and can try all values of a short secret until it fits. Pass
    PINs and passwords in O(env), not in arguments or in O(stdin).
  - O(script) and O(argv) need a pattern such as C(/bin/sh -c $RUN *) in the access list of the token, which amounts to
    everything that the account may do. The server needs C(base64), C(gzip), C(head), C(sed), C(sha256sum) and C(tail);
    if one of them is missing, nothing runs, and the error names it.
  - A O(script) or O(argv) has not ended before everything that holds its output has. What it starts in the background
    must redirect its output, and needs a session of its own to survive, as in C(setsid job >/dev/null 2>&1
    </dev/null &).
  - Alpacon merges standard output and standard error of a O(line) into one stream, so RV(stderr) is empty with it. With
    O(script) and O(argv) they are returned apart, and unaltered but for line breaks at their ends, which are left out,
    and bytes that are no UTF-8. To copy a file, use C(base64), or M(ansible.builtin.fetch) over
    P(herdops.alpacon.alpacon#connection).
  - With O(state=cancelled) and without O(ids), the commands of a server are read as far back as the last hundred and
    the last day. To cancel a command that has been held for longer on a busy server, give its id.
seealso:
  - module: herdops.alpacon.alpacon_command_info
  - plugin: herdops.alpacon.alpacon_command
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Run a command on the host itself
  herdops.alpacon.alpacon_command:
    line: uptime

- name: Run a command on several servers, at most five at a time
  herdops.alpacon.alpacon_command:
    servers: [web-01, web-02, db-01]
    line: apt-get -y upgrade
    username: root
    wait_timeout: 20m
    max_concurrency: 5
    max_errors: 1
  run_once: true

- name: Return no more of each output than its last 2000 characters
  herdops.alpacon.alpacon_command:
    servers: "{{ groups['all'] }}"
    line: apt-get -y upgrade
    username: root
    output_limit: 2000
  run_once: true

- name: Give a secret to a command
  herdops.alpacon.alpacon_command:
    server: db-01
    line: pg_dump --host replica app > /var/backups/app.sql
    env:
      PGPASSWORD: "{{ vault_pgpassword }}"

- name: Run a script on all servers
  herdops.alpacon.alpacon_command:
    servers: "{{ groups['all'] }}"
    script: tidy.sh --days 30 '/var/log/my app'
    username: root
  run_once: true

- name: Run a program with arguments that no shell touches, and give it something to read
  herdops.alpacon.alpacon_command:
    argv: [tee, /etc/motd]
    stdin: |
      Welcome to {{ inventory_hostname }}
    username: root

- name: Set something up once
  herdops.alpacon.alpacon_command:
    script: setup.py
    executable: python3
    chdir: /srv/app
    creates: /srv/app/.done

- name: Do not run it again if it succeeded in the last hour
  herdops.alpacon.alpacon_command:
    line: /usr/local/bin/reindex
    reuse_within: 1h

- name: Schedule a reboot, once
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    username: root
    state: scheduled
    scheduled_at: "2031-01-01T03:00:00Z"

- name: Postpone it
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    username: root
    state: scheduled
    scheduled_at: "2031-01-02T03:00:00Z"
    reschedule: true

- name: Show what cancelling it would change
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    state: cancelled
  check_mode: true
  diff: true

- name: Submit now and await later
  herdops.alpacon.alpacon_command:
    servers: [web-01, web-02]
    line: /usr/local/bin/backup
    wait: false
  register: backup

- name: Await it
  herdops.alpacon.alpacon_command:
    ids: "{{ backup.commands | map(attribute='id') }}"
    state: finished
    wait_timeout: 2h

- name: Set the workspace once for a play
  hosts: all
  gather_facts: false
  module_defaults:
    group/herdops.alpacon.alpacon:
      url: https://my-workspace.us1.alpacon.io
  tasks:
    - name: Show the kernel of every host
      herdops.alpacon.alpacon_command:
        line: uname -r
"""

RETURN = r"""
commands:
  description:
    - One entry for each command, in the order of O(servers) or O(ids); none if the task failed before anything was
      sent.
  returned: always
  type: list
  elements: dict
  sample:
    - id: 550e8400-e29b-41d4-a716-446655440000
      server: {id: 7e3984de-49ab-4cc6-bcdf-21fbd35858b8, name: web-01}
      line: df -h /
      status: success
      outcome: success
      rc: 0
      stdout: "Filesystem  Size  Used Avail Use% Mounted on\n/dev/xvda1  20G  8.5G  11G  46% /"
      stdout_lines: ["Filesystem  Size  Used Avail Use% Mounted on", "/dev/xvda1  20G  8.5G  11G  46% /"]
      stderr: ""
      stderr_lines: []
      start: "2026-11-24T10:30:44.125000Z"
      end: "2026-11-24T10:30:44.148000Z"
      delta: "0:00:00.023000"
      success: true
      ran: true
      error_phase: null
      output_complete: true
      changed: true
      msg: Succeeded.
  contains:
    id:
      description: UUID of the command. Null if there is none, or if it is not known.
      type: str
    server:
      description:
        - The RV(commands[].server.id) and RV(commands[].server.name) of the server; null if the workspace did not say.
      type: dict
      contains:
        id:
          description: UUID of the server.
          type: str
        name:
          description: Name of the server.
          type: str
    line:
      description: The command line; of O(script) and O(argv), the label and the digest of what is carried.
      type: str
    status:
      description:
        - The state that the workspace has it in, in one word. V(scheduled), V(queued), V(verifying),
          V(awaiting_purpose), V(awaiting_approval), V(delivered), V(running), V(success), V(failed), V(denied),
          V(rejected), V(expired), V(cancelled), V(stuck) or V(error).
        - A word of a newer workspace is returned as it is. The command counts as unfinished, unless the workspace says
          when it ended, or whether it succeeded.
      type: str
    outcome:
      description:
        - How it ended. V(success) and V(failed) ran, unless RV(commands[].ran) is null. What the workspace calls failed
          is V(failed), even if it states exit code 0; RV(commands[].error_phase) may say why.
        - V(denied), V(rejected), V(expired), V(cancelled) and V(parent_failed) never ran; V(refused) was not accepted,
          and neither was V(offline), since the agent is not connected; V(not_tried) was not submitted. With
          O(state=cancelled), V(refused) was not cancelled, since the workspace did not accept that.
        - V(awaiting_approval) is held until somebody approves it, V(timed_out) did not finish in time, V(pending) was
          not awaited.
        - V(stuck), V(error) and V(unknown) mean that it cannot be known; V(unknown) is a submit whose answer was lost,
          a command that the workspace does not show, or a O(script) or O(argv) that is said to have succeeded and has
          answered nothing. With O(state=cancelled), it is a command of which nobody can say whether it was cancelled,
          or that could not be read, so that it was not.
        - V(sent) could not be cancelled, since it had already been delivered. With O(state=scheduled), it is what the
          workspace took after its time, so that it runs at once; what could be withdrawn of that is V(refused).
      type: str
    rc:
      description: Exit code; null if it did not run, may not have run or is not finished.
      type: int
    rc_assumed:
      description:
        - Whether the workspace did not state the exit code, so that RV(commands[].rc) is only derived from success or
          failure.
      returned: when the exit code was not stated
      type: bool
    stdout:
      description: Standard output. With O(line), standard error is merged into it.
      type: str
    stdout_lines:
      description: RV(commands[].stdout) as lines.
      type: list
      elements: str
    stderr:
      description: Standard error of O(script) and O(argv). With O(line) it is empty, since Alpacon merges both streams.
      type: str
    stderr_lines:
      description: RV(commands[].stderr) as lines.
      type: list
      elements: str
    start:
      description:
        - When the server started it, as ISO 8601 in UTC.
        - If the workspace lists no times, RV(commands[].start) and RV(commands[].end) are derived from what it does
          state.
      type: str
    end:
      description: When it ended, as ISO 8601 in UTC.
      type: str
    delta:
      description: How long it ran.
      type: str
    success:
      description: Whether it succeeded; null while that is not known.
      type: bool
    ran:
      description:
        - Whether it was run at all; null if that cannot be known, such as for a failed command that its agent never
          acknowledged, or never answered.
      type: bool
    error_phase:
      description: Where it went wrong, in a word of the workspace such as V(agent_disconnected); null if not stated.
      type: str
    output_complete:
      description:
        - Whether the output is complete; null if there is none yet. RV(commands[].msg) says what is missing, or was
          cut off by O(output_limit).
        - If a workspace has the output of a O(line) in chunks only, nothing marks the last one. Chunks that arrive more
          than half a second after its end may not be part of the output.
      type: bool
    changed:
      description: Whether the task changed something for this command.
      type: bool
    error:
      description: The error that the workspace gave, with C(status), C(code) and C(message).
      returned: when it refused the command
      type: dict
    msg:
      description: What happened, in words.
      type: str
id:
  description: With one command, this and every other key of RV(commands[]) is at the top level as well.
  returned: with one command
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
rc:
  description:
    - As RV(commands[].rc). From ansible-core 2.21 on, Ansible leaves the key out where it is null, as with
      O(wait=false). RV(commands[].rc) is always there; for this key, use the filter P(ansible.builtin.default#filter).
    - In check mode, 0 for a command that would be submitted and awaited, as M(ansible.builtin.command) has it, so that
      conditions on the exit code can be evaluated. C(rc_assumed) is then true, and RV(commands[].rc) is null.
  returned: with one command
  type: int
  sample: 0
stdout:
  description: As RV(commands[].stdout).
  returned: with one command
  type: str
  sample: Linux
stdout_lines:
  description: As RV(commands[].stdout_lines).
  returned: with one command
  type: list
  elements: str
  sample: [Linux]
stderr:
  description: As RV(commands[].stderr).
  returned: with one command
  type: str
  sample: ""
outcome:
  description: As RV(commands[].outcome); null in check mode.
  returned: with one command
  type: str
  sample: success
msg:
  description:
    - What happened, in words; with several commands, which of them failed and why.
    - Ansible prints it where a task fails, even with C(no_log). If the task has C(no_log), it therefore shows nothing
      that a command wrote or was given.
  returned: always
  type: str
  sample: 3 commands, none of them failed.
summary:
  description: How many commands had each outcome; empty in check mode.
  returned: unless the task failed before anything was sent
  type: dict
  sample: {success: 2, failed: 1}
requests:
  description: How many HTTP requests the task made.
  returned: unless the task failed before anything was sent
  type: int
  sample: 2
option:
  description: The option that is wrong.
  returned: when one is, and nothing was written
  type: str
  sample: scheduled_at
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import RULES, SHIPPED_SPEC, run_command


def main() -> None:
    """Run, schedule, await and cancel commands."""
    run_module(SHIPPED_SPEC, run_command, **RULES)


if __name__ == "__main__":
    main()
