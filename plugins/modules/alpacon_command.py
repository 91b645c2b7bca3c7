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
  - Runs a command line, a script or a program on one server or on many, and returns the exit code and the output of
    each.
  - Schedules commands for a later time, awaits commands of an earlier task, and cancels commands that are waiting.
  - A command is submitted at most once. If the response to a submit is lost, the module looks for the command in the
    workspace, and never submits it again.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers. A UUID saves the request that looks up a name.
      - If omitted, the server of the inventory host, by its variable C(alpacon_server_id), or else by its name.
    type: list
    elements: str
    aliases: [server]
  line:
    description:
      - The command line, of up to 2048 characters; workspaces of 2024 accept 512. The agent passes it to C(/bin/sh), or
        splits it at blanks if the workspace does not allow a shell.
      - From ansible-core 2.19 on, it can be given without a name, as in C(-a uptime).
      - Everyone who may read commands can see it. Pass secrets in O(env).
    type: str
    aliases: [cmd]
  script:
    description:
      - The path of a script on the controller, and the arguments of the script. It is split as a shell splits words;
        nothing is expanded. The file is found, and decrypted, as by M(ansible.builtin.script).
      - Script, arguments and O(stdin) are sent in one request, with about 1.1 MB of compressed data.
    type: str
  _script_content:
    description:
      - The content of O(script) in Base64, for a module that runs on another host. A task cannot set it.
    type: str
  argv:
    description:
      - A program and its arguments, as a list that no shell touches. It is sent like O(script).
    type: list
    elements: str
  stdin:
    description:
      - The standard input of O(script) or O(argv), exactly as given.
      - Unlike the values of O(env), it is not masked in the output.
    type: str
  chdir:
    description:
      - The folder in which O(script) or O(argv) runs; C(~) at its start is a home. If omitted, the home of the user.
    type: str
  executable:
    description:
      - The program that runs O(script), by its name or path. If omitted, the first line of the script names it.
    type: str
  creates:
    description:
      - A path or a pattern on the server, relative to O(chdir). If it exists, O(script) or O(argv) is skipped there.
    type: str
  removes:
    description:
      - A path or a pattern on the server, relative to O(chdir). If it does not exist, O(script) or O(argv) is skipped
        there.
    type: str
  state:
    description:
      - V(executed) submits the command and awaits it. It is always a change, unless O(reuse_within) finds a result.
      - V(scheduled) makes sure that one command is waiting for O(scheduled_at), or ran at that time.
      - V(finished) awaits the commands of O(ids).
      - V(cancelled) makes sure that the commands of O(ids), or all matching ones on O(servers), do not run.
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
      - The handler of the line. V(system) is the shell of the server, which O(script) and O(argv) need, and V(internal)
        is the agent itself. Today's agents refuse V(osquery).
    type: str
    default: system
    choices: [system, internal, osquery]
  username:
    description:
      - System user to run as. If omitted, the workspace uses the one of the token, and commands match whatever their
        user is.
    type: str
  groupname:
    description:
      - System group to run as. If omitted, the workspace decides, and commands match whatever their group is.
    type: str
  env:
    description:
      - Environment variables of the command, with strings as values. The values are secrets, and are masked in results,
        logs and, from four characters on, in the output. Give it to O(state=finished) as well to mask the same output.
      - Workspaces of 2024, and those of the published API, do not pass it on; there, the task fails and nothing runs.
      - With O(line), workspaces may strip blanks and line breaks at both ends of a value, and a warning says so.
      - With O(script) and O(argv), the names V(RUN), V(BODY), V(P0), V(P1) and so on, and names that begin with
        V(alpacon_), are reserved.
    type: dict
  run_after:
    description:
      - UUIDs of commands that must have succeeded first. If one of them fails, the command never runs.
      - If the workspace does not wait for them, the task awaits them before it submits.
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
      - When the command is to run, as ISO 8601 with a time zone, such as V(2031-01-01T03:00:00Z). A time in the past is
        refused, unless such a command ran at that time.
      - With O(state=cancelled), only commands that are scheduled for exactly that time are cancelled.
    type: str
  reschedule:
    description:
      - Whether to cancel a matching command that is waiting for another time, once the new one is accepted.
    type: bool
    default: false
  reuse_within:
    description:
      - With O(state=executed), return the result of a matching command that succeeded within this time, if there is
        one, and change nothing.
      - A duration such as V(90s), V(10m) or V(1h30m), or a number of seconds. O(env), O(run_after), O(work_session) and
        O(purpose) are not compared. A O(script) or O(argv) matches only if the same requester submitted it.
      - A command that waited for more than half an hour before it ran may not be found, and is then run again.
    type: str
  fail_if_sent:
    description:
      - With O(state=cancelled), whether to fail if a command was already delivered to its server.
    type: bool
    default: true
  offline:
    description:
      - What to do about a server whose agent is not connected, with O(state=executed) and O(state=scheduled).
      - With V(wait), the command waits for the server, but no longer than O(wait_timeout), if the workspace accepts it.
      - With V(fail), the outcome is V(offline), and nothing is left behind. An inventory host becomes unreachable.
      - V(skip) does the same as V(fail), but is no failure. A warning names the servers.
    type: str
    default: wait
    choices: [wait, fail, skip]
  wait:
    description:
      - Whether to wait until the commands have finished. With V(false), await their ids later with O(state=finished).
      - A scheduled command is never waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each command from its submit, as a number of seconds or a duration such as V(90s), V(10m)
        or V(1h30m). A command that is not finished by then goes on, and the task fails with its id.
      - If the request budget of the token is used up, commands are submitted later, but no later than this after the
        start of the task. The outcome of the others is V(not_tried).
    type: str
    default: 30m
  wait_for_approval:
    description:
      - Whether to wait for a command that the workspace holds for approval. With V(false), the task fails at once with
        the id, so that the command can be awaited with O(state=finished).
    type: bool
    default: false
  cancel_on_timeout:
    description:
      - Whether to cancel a command that was not delivered to its server within O(wait_timeout).
    type: bool
    default: false
  max_concurrency:
    description:
      - How many commands of the task may be unfinished at the same time, as a number or as a percentage of O(servers).
        If omitted, there is no limit. The task must wait for its commands.
    type: str
  max_errors:
    description:
      - How many commands may fail before no more are submitted, as a number or as a percentage of O(servers). If
        omitted, any number may fail.
    type: str
  progress:
    description:
      - Whether to print a line every few seconds with the number of commands that are waiting, running, done and
        failed.
      - If omitted, it is on for several servers or ids, and off for one. A module on another host cannot print it.
    type: bool
  success_codes:
    description:
      - Exit codes that count as success, at least one.
    type: list
    elements: int
    default: [0]
  output_limit:
    description:
      - How many characters of the end of each output to return. If omitted, all of it. With a limit, large outputs of
        many servers need little memory.
    type: int
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is submitted or cancelled. O(state=executed) is predicted as a change; O(state=scheduled) and
        O(state=cancelled) are decided by reading.
      - A predicted command has no id. Null elements of O(ids) and O(run_after) are left out in check mode. For a single
        command that would be awaited, RV(rc) is 0 and assumed, and the output is empty.
  diff_mode:
    support: full
    details:
      - Shows commands that are scheduled or cancelled. O(state=executed) and O(state=finished) have nothing to show.
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
  - A server gets the command of a task once. If several hosts of a task name the same O(servers), the first one submits
    and the others fail. Add C(run_once=true) to such a task, and with C(serial), move it into a play of its own.
  - A task that is retried, with C(until) or C(retries), does not submit a command again that may have been accepted or
    was denied or rejected. It awaits that command. A command that has ended otherwise is submitted again.
  - When a line ends, the agent kills every process in its process group. A process that is to survive needs a session
    of its own and must detach from the output, as in C(setsid -w sh -c 'job >/dev/null 2>&1 </dev/null &'), or is
    started by C(systemd-run --collect job). A O(script) or O(argv) ends when everything that holds its output has.
  - The line of O(script) and O(argv) is C(/bin/sh -c $RUN LABEL sha256:DIGEST), which needs a pattern such as
    C(/bin/sh -c $RUN *) in the access list of the token. The content travels in environment variables, so it does not
    run on workspaces that do not pass on O(env). The server needs C(base64), C(gzip), C(head), C(sed), C(sha256sum) and
    C(tail).
  - The digest covers script, arguments, O(stdin), O(chdir), O(executable), O(creates) and O(removes). Everyone who may
    read commands can test guesses of a short secret against it, so pass PINs and passwords in O(env).
  - Alpacon merges the standard error of a O(line) into its standard output, so RV(stderr) is empty. O(script) and
    O(argv) return them apart.
  - With O(state=cancelled) and without O(ids), the commands of a server are read as far back as the last hundred and
    the last day. To cancel a command that has been held for longer on a busy server, give its id or O(scheduled_at).
seealso:
  - module: herdops.alpacon.alpacon_command_info
  - plugin: herdops.alpacon.alpacon_command
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Run a command on the host itself
  herdops.alpacon.alpacon_command:
    line: uptime

- name: Upgrade several servers, at most five at a time
  herdops.alpacon.alpacon_command:
    servers: "{{ groups['web'] }}"
    line: apt-get -y upgrade
    username: root
    wait_timeout: 20m
    max_concurrency: 5
    max_errors: 10%
    output_limit: 2000
  run_once: true

- name: Give a secret to a command
  herdops.alpacon.alpacon_command:
    server: db-01
    line: pg_dump --host replica app > /var/backups/app.sql
    env:
      PGPASSWORD: "{{ vault_pgpassword }}"

- name: Set an application up once, with a script of the controller
  herdops.alpacon.alpacon_command:
    script: setup.py --instance 'my app'
    executable: python3
    chdir: /srv/app
    creates: /srv/app/.done

- name: Run a program with arguments that no shell touches, and give it something to read
  herdops.alpacon.alpacon_command:
    argv: [tee, /etc/motd]
    stdin: |
      Welcome to {{ inventory_hostname }}
    username: root

- name: Run it again only if it did not succeed in the last hour
  herdops.alpacon.alpacon_command:
    line: /usr/local/bin/reindex
    reuse_within: 1h

- name: Schedule a reboot, and cancel one that is scheduled for another time
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    username: root
    state: scheduled
    scheduled_at: "2031-01-01T03:00:00Z"
    reschedule: true

- name: Show the effect of cancelling it
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

- name: Await the backup
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
    - One entry for each command, in the order of O(servers) or O(ids).
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
      description: The server; RV(commands[].server.id) and RV(commands[].server.name) are null if they are not known.
      type: dict
      contains:
        id:
          description: UUID of the server.
          type: str
        name:
          description: Name of the server.
          type: str
    line:
      description: The command line; for O(script) and O(argv), the label and the digest.
      type: str
    status:
      description:
        - The state of the command in the workspace, such as V(scheduled), V(queued), V(verifying),
          V(awaiting_purpose), V(awaiting_approval), V(delivered), V(running), V(success), V(failed), V(denied),
          V(rejected), V(expired), V(cancelled), V(stuck) or V(error). A word of a newer workspace is returned as it is.
      type: str
    outcome:
      description:
        - How it ended. V(success) and V(failed) ran, unless RV(commands[].ran) is null.
        - V(denied), V(rejected), V(expired), V(cancelled) and V(parent_failed) never ran. V(refused) was not accepted
          or, with O(state=cancelled), not cancelled. V(offline) was not accepted since the agent is not connected, and
          V(not_tried) was not submitted.
        - V(awaiting_approval) is held until somebody approves it, V(timed_out) did not finish in time, V(pending) was
          not awaited.
        - V(stuck), V(error) and V(unknown) may have run. V(unknown) is a submit or a cancel whose response was lost, a
          command that cannot be read, or a O(script) or O(argv) that succeeded without its own report.
        - V(sent) could not be cancelled, since it had been delivered. With O(state=scheduled), it was accepted too
          late, so that it runs at once.
      type: str
    rc:
      description: Exit code; null if it did not run, may not have run or is not finished.
      type: int
    rc_assumed:
      description: The workspace did not state the exit code; RV(commands[].rc) is derived from success or failure.
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
      description: Standard error of O(script) and O(argv). It is empty with O(line).
      type: str
    stderr_lines:
      description: RV(commands[].stderr) as lines.
      type: list
      elements: str
    start:
      description: When the server started it, as ISO 8601 in UTC.
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
      description: Whether it ran; null if that cannot be known.
      type: bool
    error_phase:
      description: Where it failed, in a word of the workspace such as V(agent_disconnected); null if not stated.
      type: str
    output_complete:
      description: Whether the output is complete; null if there is none yet. RV(commands[].msg) says what is missing.
      type: bool
    changed:
      description: Whether the task changed something for this command.
      type: bool
    error:
      description: The error of the workspace, with C(status), C(code) and C(message).
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
    - As RV(commands[].rc). From ansible-core 2.21 on, Ansible leaves the key out where it is null.
    - In check mode, 0 for a command that would be submitted and awaited; C(rc_assumed) is then true.
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
    - With C(no_log), it shows nothing that a command wrote or was given, since Ansible prints it if the task fails.
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
