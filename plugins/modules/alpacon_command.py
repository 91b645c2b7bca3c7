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
  - Runs a command line, a script or a program on one server or many, and returns the exit code and the output of each.
  - Schedules commands, awaits commands of an earlier task, and cancels commands that have not reached their servers.
  - A command is submitted at most once. If the response to a submit is lost, the module searches for the command in the
    workspace and never submits it again. There are two exceptions, of commands that ran nothing; see O(verified) and
    O(wait_for_approval).
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers. If omitted, the server whose UUID is in the host variable C(alpacon_server_id),
        or else the server that has the name of the inventory host.
      - With O(state=cancelled) and two servers or more, names are looked up only if a command waits that may have to be
        cancelled. If none does, an unknown name is not an error, since nothing waits for it.
    type: list
    elements: str
    aliases: [server]
  line:
    description:
      - The command line, of up to 2048 characters (512 on workspaces of 2024). The agent passes it to C(/bin/sh), or
        splits it at blanks if the workspace does not allow a shell.
      - Everyone who may read commands can see it. Pass secrets in O(env).
    type: str
    aliases: [cmd]
  script:
    description:
      - The path of a script on the controller, followed by its arguments, as in M(ansible.builtin.script).
    type: str
  argv:
    description:
      - A program and its arguments, as a list that is not passed to a shell.
    type: list
    elements: str
  stdin:
    description:
      - The standard input of O(script) or O(argv). It is not masked in the output.
    type: str
  chdir:
    description:
      - The directory in which O(script) or O(argv) runs. If omitted, the home of the user.
    type: str
  executable:
    description:
      - The program that runs O(script), by name or path. If omitted, the first line of the script names it.
      - With O(verified=true), its absolute path. If omitted, the first line of the script, or else C(/bin/sh).
    type: str
  verified:
    description:
      - Whether to run O(script) as a file whose exact bytes a person approves in the workspace. The agent runs it
        only if the file on the server has these bytes. An approval can stand for days, in which the same script with
        the same arguments runs on the same server as the same user without another one.
      - The script is UTF-8 text of up to 64 KiB, without Ansible Vault. It gets no O(env) and no O(stdin), so that all
        of it can be reviewed.
      - The file is uploaded through the object storage of the workspace if the server lacks it. A note in
        C(ANSIBLE_HOME) on the controller remembers that a server has it, so that an unchanged script costs one
        request. If the agent says that the file is missing or has changed, it is uploaded and submitted once more.
      - Needs agents from 2.8.3 on, on Linux or macOS, and a workspace that has verified files.
    type: bool
    default: false
  verified_folder:
    description:
      - With O(verified=true), an existing folder on the servers for the file, which only O(username) should be able
        to write. If omitted, C(/root) for V(root), and C(/home/NAME) for other users.
      - The name of the file contains its digest, see RV(path).
    type: str
  reuse_days:
    description:
      - With O(verified=true), how many days to propose that an approval stands, from 1 to 366. If omitted, the
        workspace decides. The approver may shorten it.
    type: int
  creates:
    description:
      - A path or pattern on the server, relative to O(chdir). If it exists, O(script) or O(argv) does not run there.
    type: str
  removes:
    description:
      - A path or pattern on the server, relative to O(chdir). If it does not exist, O(script) or O(argv) does not run
        there.
    type: str
  state:
    description:
      - V(executed) submits the command that O(line), O(script) or O(argv) gives, and waits for it.
      - V(scheduled) ensures that one such command waits for O(scheduled_at), or ran at that time.
      - V(finished) waits for the commands of O(ids).
      - V(cancelled) cancels the commands of O(ids), or all matching commands on O(servers).
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
      - What runs the line. V(system) is the shell of the server, V(internal) is the agent itself. Today's agents refuse
        V(osquery). V(file) is for verified files of other clients, and can be used only with O(state=cancelled). See
        O(verified).
    type: str
    default: system
    choices: [system, internal, osquery, file]
  username:
    description:
      - System user to run as. If omitted, the workspace decides.
    type: str
  groupname:
    description:
      - System group to run as. If omitted, the workspace decides.
    type: str
  env:
    description:
      - Environment variables of the command. Results and logs do not show their values. In the output, values of four
        or more characters are masked. To mask them with O(state=finished) as well, give the same O(env) there.
      - If the workspace does not support O(env), the task fails and nothing runs.
      - With O(script) and O(argv), the names V(RUN), V(BODY), V(P0), V(P1) and so on, and names that begin with
        V(alpacon_), are reserved.
    type: dict
  run_after:
    description:
      - UUIDs of commands that must succeed first. If one of them fails, the command never runs.
    type: list
    elements: str
  work_session:
    description:
      - UUID of the work session of Alpacon to which the command belongs. API tokens and service tokens need none.
    type: str
  purpose:
    description:
      - The reason for the command, which the workspace records. 1 to 2000 characters.
    type: str
  scheduled_at:
    description:
      - When the command is to run, as ISO 8601 with a time zone, such as V(2031-01-01T03:00:00Z).
      - With O(state=cancelled), only commands scheduled for exactly this time are cancelled.
    type: str
  not_after:
    description:
      - Until when the command may start, as ISO 8601 with a time zone, or as a duration such as V(2h) from the start of
        the task on each host. If it is too late, RV(outcome) is V(late).
      - With O(state=executed), a time that has passed is refused.
      - A server that gets O(script) or O(argv) later, by its own clock, refuses to run it.
      - A command that still waits at that time, for its server, an approval or other commands, is cancelled. Nothing is
        submitted after it. Both happen only while the task runs, so not after an interrupt or O(wait_timeout).
      - If the clock of a server is wrong, so is its decision. A server whose C(date +%s) tells no time refuses to run
        the command. A command that has started is not stopped.
      - O(line) and O(verified=true) run as they are, so a server cannot refuse them. With O(state=scheduled) or
        O(wait=false), where no task cancels them, O(not_after) is refused.
      - O(not_after) is not compared when commands are matched. A command that is scheduled already keeps the time that
        it was scheduled with. O(state=cancelled) needs no O(not_after) to find it.
    type: str
  reschedule:
    description:
      - Whether to cancel matching commands that are scheduled for another time, once the new one is accepted.
    type: bool
    default: false
  reuse_within:
    description:
      - With O(state=executed), return the result of a matching command that succeeded within this time, if there is
        one, instead of running the command. A number of seconds, or a duration such as V(90s), V(10m) or V(1h30m).
      - O(env), O(run_after), O(work_session) and O(purpose) are not compared. A command that waited for more than half
        an hour before it ran might not be found, and then runs again.
    type: str
  fail_if_sent:
    description:
      - With O(state=cancelled), whether to fail if a command was already delivered to its server.
    type: bool
    default: true
  offline:
    description:
      - What to do if the agent of a server is not connected, with O(state=executed) and O(state=scheduled).
      - V(wait) submits the command, which waits for the agent. Some workspaces refuse this.
      - V(fail) fails the task and leaves no command for that server. Without O(servers), the host becomes unreachable.
      - V(skip) skips the server, with a warning.
    type: str
    default: wait
    choices: [wait, fail, skip]
  wait:
    description:
      - Whether to wait until the commands end. With V(false), wait later with O(state=finished). Scheduled commands are
        never waited for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for each command, as a number of seconds or a duration such as V(90s), V(10m) or V(1h30m).
        After that, the task fails and the command continues.
      - The time starts when the command is submitted or, with O(state=finished), when the task starts.
      - If the workspace is down or slow, the task ends later by at most one O(request_timeout) and one last poll.
        Waiting to submit, the search for a command whose submit was lost, and a cancel take up to two more minutes
        each.
      - If the token has no requests left, the task also waits this long, from its start, to submit commands.
    type: str
    default: 30m
  wait_for_approval:
    description:
      - Whether to wait for a command that the workspace holds for approval. With V(false), the task fails at once.
      - If C(sudo) in the command needs a person, the agent denies it, and the command ends. With V(true), the task
        waits for the decision up to O(wait_timeout), and submits the command once more after an approval. There is no
        third submit, even if C(sudo) is denied again.
      - The command is submitted again only if it certainly did nothing but that C(sudo). It is a O(line) or O(argv)
        that is one C(sudo), with no options but C(-u), C(-g), C(-n) and C(-H), of a program of the system that is no
        shell and starts no other program. A O(line) has none of the characters C(;&|<>()$`\\), and the response to
        its submit was not lost. Otherwise, the task fails at once, and the message says so.
      - A program that calls C(sudo) itself may do other work before that. Do not run such a program with V(true).
      - If the approval is refused, the outcome is C(rejected) or C(expired), and C(unknown) if another command used it.
    type: bool
    default: false
  cancel_on_timeout:
    description:
      - Whether to cancel a command that has not reached its server within O(wait_timeout).
    type: bool
    default: false
  max_concurrency:
    description:
      - How many commands may run at the same time, as a number or a percentage of O(servers). If omitted, there is no
        limit.
    type: str
  max_errors:
    description:
      - How many failed commands to accept, as a number or a percentage of O(servers). If more fail, no further commands
        are submitted. If omitted, there is no limit.
    type: str
  progress:
    description:
      - What to print while the task waits. If omitted, it is V(true) for several servers or O(ids); for one server, the
        task prints a line only if the server is offline.
      - V(true) prints how many commands run, are done and have failed. It prints a line when that changes, at most
        every five seconds, and otherwise once a minute, with the servers that it waits for.
      - V(false) prints nothing.
      - V(output) prints each new line of the running commands within three seconds, as C(web-01 | text), to standard
        error. The result of the task does not change.
      - For V(output), each running command takes a request every 2.5 seconds. When the run has used half of the quota
        of the token (O(requests_per_hour)), it takes one every 8 seconds, so that lines are printed within ten seconds.
        The last tenth of the quota is for the results.
      - With O(line), the printed lines can have the character U+FFFD where the agent cut a character in two.
      - V(output) prints whole lines, with secrets hidden, and at most the first 4,096 characters of each. After a
        carriage return, a line starts again. If more than 200 new lines arrive at once, it prints the last 200.
      - V(output) prints what V(true) does if the task has more than 20 servers or C(no_log) is set, and on workspaces
        that do not show the output of running commands.
      - A task that is delegated to another host prints nothing.
      - With O(script) and O(argv), V(output) slows down programs that print megabytes, by a second or two per megabyte.
        O(state=finished) prints their output only if the task that submitted them also had V(output).
    type: str
    choices: ['true', 'false', output]
  success_codes:
    description:
      - Exit codes that count as success.
    type: list
    elements: int
    default: [0]
  output_limit:
    description:
      - How many characters to return from the end of each output. If omitted, all of it; with O(output_dir), the last
        4,000 characters.
    type: int
  output_dir:
    description:
      - A folder on the controller, in which the whole output of each command is written to the file C(NAME.stdout).
        With O(script) and O(argv), C(NAME.stderr) has the standard error. NAME is the server as O(servers) or the
        inventory names it, or the ID of the command with O(state=finished).
      - A relative path starts at the folder of the playbook. If the folder is missing, it is created for its owner
        only, as each file is. A file that exists is replaced, so give each task, and each item of a loop, a folder of
        its own.
      - A command that never ran leaves the files of its name as they are. Nothing is written in check mode.
      - If a file cannot be written, such as on a full disk, the task warns, and returns the output instead.
      - It cannot be used with C(no_log), C(delegate_to) or O(wait=false).
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is submitted or cancelled. A predicted command has no id, and null elements of O(ids) and O(run_after)
        are ignored. For a single command, RV(rc) is 0 and the output is empty.
  diff_mode:
    support: full
    details:
      - Shows commands that are scheduled or cancelled.
  idempotent:
    support: partial
    details:
      - O(state=executed) is idempotent only with O(reuse_within). The other states are idempotent.
  async:
    details:
      - Use O(wait=false), and later O(state=finished).
notes:
  - Commands match if they have the same server, line and O(shell) and, if you give them, the same O(username) and
    O(groupname). For O(script) and O(argv), the requester must also be the same.
  - A server gets the command of a task once. Add C(run_once=true) to a task that names O(servers) in a play of several
    hosts. If that play uses C(serial), move the task to a separate play.
  - With C(until) and C(retries), a command that was denied or rejected, or may have been accepted, is not submitted
    again. The next try awaits it instead.
  - When a line ends, the agent kills all processes that the line started. To keep a process, start it with
    C(systemd-run --collect).
  - O(script) and O(argv) are submitted as the line C(/bin/sh -c $RUN LABEL sha256:DIGEST) with environment variables.
    The access list of the token needs a pattern such as C(/bin/sh -c $RUN *), and the workspace must support O(env).
  - Everyone who may read commands sees the digest, and can use it to guess arguments and O(stdin). Pass secrets in
    O(env).
  - O(state=cancelled) without O(ids) reads the commands of each server that are due in the future or were due in the
    last day, and a hundred more. For an older command, give its id or its O(scheduled_at).
seealso:
  - module: herdops.alpacon.alpacon_command_info
  - name: Reviewing what Ansible runs
    description: Guide to O(verified), and to what a token may run.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/reviewing.html
  - plugin: herdops.alpacon.alpacon_command
    plugin_type: lookup
  - name: Run commands
    description: Guide with examples, and what to do about each outcome.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/run_commands.html
  - name: Scripts and files
    description: Guide to O(script) and O(argv).
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/scripts.html
"""

EXAMPLES = r"""
- name: Show the uptime
  herdops.alpacon.alpacon_command:
    line: uptime

- name: Upgrade the web servers
  herdops.alpacon.alpacon_command:
    servers: "{{ groups['web'] }}"
    line: apt-get -y upgrade
    username: root
    max_concurrency: 5
    max_errors: 10%
  run_once: true

- name: Dump the database
  herdops.alpacon.alpacon_command:
    server: db-01
    line: pg_dump --host replica app > /var/backups/app.sql
    env:
      PGPASSWORD: "{{ vault_pgpassword }}"

- name: Set up the application
  herdops.alpacon.alpacon_command:
    script: setup.py --instance 'my app'
    executable: python3
    chdir: /srv/app
    creates: /srv/app/.done

- name: Rotate the logs with a script that a person approves once
  herdops.alpacon.alpacon_command:
    servers: [web-01, web-02]
    script: rotate.sh --keep 14
    username: root
    verified: true
    reuse_days: 90

- name: Schedule the reboot
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    username: root
    state: scheduled
    scheduled_at: "2031-01-01T03:00:00Z"

- name: Cancel the reboot
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    state: cancelled

- name: Start the backup
  herdops.alpacon.alpacon_command:
    servers: [web-01, web-02]
    line: /usr/local/bin/backup
    wait: false
  register: backup

- name: Await the backup
  herdops.alpacon.alpacon_command:
    ids: "{{ backup.commands | map(attribute='id') }}"
    state: finished
    progress: output
"""

RETURN = r"""
commands:
  description:
    - The commands, in the order of O(servers) or O(ids).
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
      description: UUID of the command; null if there is none or it is not known.
      type: str
    server:
      description: The server; its keys are null if they are not known.
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
      description: The state of the command in the workspace, as in M(herdops.alpacon.alpacon_command_info).
      type: str
    outcome:
      description:
        - How the command ended.
        - V(success) and V(failed) ran, unless RV(commands[].ran) is null or false. V(pending) was not awaited,
          V(timed_out) did not end in time, and V(awaiting_approval) is held for approval.
        - V(denied), V(rejected), V(expired), V(cancelled), V(parent_failed), V(late), V(refused), V(offline) and
          V(not_tried) never ran; with O(state=cancelled), V(refused) was not cancelled.
        - V(stuck), V(error) and V(unknown) may have run. V(sent) was delivered before it could be cancelled, or
          accepted too late to be scheduled.
      type: str
    rc:
      description: Exit code; null if it is not known.
      type: int
    rc_assumed:
      description: True if the workspace did not state the exit code, and RV(commands[].rc) is 0 or 1 instead.
      returned: when the exit code was not stated
      type: bool
    stdout:
      description: Standard output; with O(line), standard error as well.
      type: str
    stdout_lines:
      description: RV(commands[].stdout) as lines.
      type: list
      elements: str
    stderr:
      description: Standard error of O(script) and O(argv); empty with O(line).
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
      description:
        - The phase in which it failed, as the workspace names it, such as V(agent_disconnected).
        - If it begins with C(file_), the agent refused to run a verified file, and nothing ran.
      type: str
    output_complete:
      description:
        - Whether the output is complete; if not, RV(commands[].msg) gives the reason. With O(output_dir), whether the
          files are complete.
      type: bool
    stdout_file:
      description: The file with the whole standard output; null if none was written.
      returned: with O(output_dir)
      type: str
    stderr_file:
      description: The file with the whole standard error; null if none was written, as of O(line).
      returned: with O(output_dir)
      type: str
    path:
      description: The path of the script on the server, which contains 32 digits of its SHA-256.
      returned: with O(verified=true)
      type: str
    changed:
      description: Whether the task changed something for this command.
      type: bool
    error:
      description: The error that the workspace returned, with C(status), C(code) and C(message).
      returned: when it refused the command
      type: dict
    msg:
      description: What happened.
      type: str
id:
  description: UUID of the command. With one command, all keys of RV(commands[]) are at the top level as well.
  returned: with one command
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
rc:
  description:
    - As RV(commands[].rc); 0 in check mode. From ansible-core 2.21 on, Ansible removes the key if it is null.
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
stdout_file:
  description: As RV(commands[].stdout_file).
  returned: with one command and O(output_dir)
  type: str
  sample: /home/ada/outputs/web-01.stdout
stderr_file:
  description: As RV(commands[].stderr_file).
  returned: with one command and O(output_dir)
  type: str
  sample: /home/ada/outputs/web-01.stderr
path:
  description: As RV(commands[].path).
  returned: with O(verified=true)
  type: str
  sample: /root/.alpacon-rotate.sh-8f2b5c0de1a94c3fb1f0a7b6c5d4e3f2
outcome:
  description: As RV(commands[].outcome); null in check mode.
  returned: with one command
  type: str
  sample: success
msg:
  description:
    - What happened; with several commands, which of them failed and why. With C(no_log), it shows no output.
  returned: always
  type: str
  sample: 3 commands, none of them failed.
summary:
  description: How many commands had each outcome; empty in check mode.
  returned: unless the task failed before anything was sent
  type: dict
  sample: {success: 2, failed: 1}
servers_left:
  description:
    - IDs of the servers whose command failed or never ran, for the option O(servers) of another task.
    - Servers whose command may still run are in RV(servers_unknown) instead. Those whose command a reviewer or a policy
      declined are in neither list.
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: [550e8400-e29b-41d4-a716-446655440000]
servers_unknown:
  description:
    - IDs of the servers whose command may still run. Its outcome is V(unknown), V(timed_out), V(stuck), V(error) or
      V(awaiting_approval).
    - Do not submit it again; await it with O(state=finished) and its ID.
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: []
requests:
  description: How many HTTP requests the task made.
  returned: unless the task failed before anything was sent
  type: int
  sample: 2
option:
  description: The option that is wrong.
  returned: when an option is wrong
  type: str
  sample: scheduled_at
"""

from ansible_collections.herdops.alpacon.plugins.module_utils._module import run_module
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import INTERNAL, RULES, SPEC, run_command


def main() -> None:
    run_module(SPEC, run_command, INTERNAL, **RULES)


if __name__ == "__main__":
    main()
