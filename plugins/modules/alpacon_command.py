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
  - Submits a command line to one server or to many, waits until they are finished, and returns exit code and output
    of each.
  - Schedules a command for later, once, however often the task runs.
  - Awaits commands that an earlier task submitted, and cancels commands that wait.
  - A command is submitted at most once. When the answer to a submit is lost, it is looked for in the workspace and
    never sent again.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers.
      - Left out, the server is the inventory host itself, by the variable C(alpacon_server_id) of the host, else by
        its name.
      - A UUID saves the request that finds a name.
    type: list
    elements: str
    aliases: [server]
  line:
    description:
      - The command line, sent as given. It has at most 2048 characters; servers of 2024 take 512.
      - From ansible-core 2.19 on, it may be given without its name, as in
        C(ansible web -m herdops.alpacon.alpacon_command -a uptime). Older releases need C(-a 'line=uptime').
      - The agent hands it to C(/bin/sh), or splits it at blanks where the workspace does not allow a shell.
      - Everyone who may read commands sees it. Secrets belong into O(env).
    type: str
    aliases: [cmd]
  state:
    description:
      - V(executed) submits the line and, with O(wait), waits for its end. It is a change each time, unless
        O(reuse_within) finds that it ran.
      - V(scheduled) makes sure that one command waits for O(scheduled_at), or ran then.
      - V(finished) awaits the commands that O(ids) names.
      - V(cancelled) makes sure that the commands that O(ids) names, or every matching one on O(servers), do not run
        any more.
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
      - What takes the line. V(system) is the shell of the server, V(internal) the agent itself. Today's agents refuse
        V(osquery).
    type: str
    default: system
    choices: [system, internal, osquery]
  username:
    description:
      - System user to run as. Left out, the workspace takes the one of the token.
      - Left out, it is not compared when earlier commands are looked for.
    type: str
  groupname:
    description:
      - System group to run as. Left out, the workspace decides.
      - Left out, it is not compared when earlier commands are looked for.
    type: str
  env:
    description:
      - Environment variables of the command, with strings as values.
      - The values are secrets. They are in no result and no log; where the output shows one that has four characters
        or more, it is masked.
      - Only the task that is given them knows them. Where another task shows the output of the same command, give it
        O(env) as well, which O(state=finished) takes for that alone, or C(no_log).
      - Servers of 2024 ignore it, which is warned about.
    type: dict
  run_after:
    description:
      - UUIDs of commands that must have succeeded before. When one of them fails, the command never runs.
      - Where the workspace gives no sign that it waits for them, they are awaited here before the submit, also with
        O(wait=false); where one of them does not succeed, nothing is submitted. Each of them must exist.
    type: list
    elements: str
  work_session:
    description:
      - UUID of a work session, which logins by browser need. API and service tokens need none.
    type: str
  purpose:
    description:
      - Why the command runs, for the record of the workspace, in 1 to 2000 characters.
    type: str
  scheduled_at:
    description:
      - When the command is to run, as ISO 8601 with a zone, such as V(2031-01-01T03:00:00Z). Without a zone it is
        refused, since each server would read it in its own.
      - With O(state=scheduled), a time that is in the past by the clock of the workspace is refused, unless such a
        command was carried out then.
      - With O(state=cancelled), only commands that are scheduled for that very time are meant.
    type: str
  reschedule:
    description:
      - Whether a command that waits for another time is cancelled in favour of the one at O(scheduled_at).
      - With V(false) it stays, and both run.
    type: bool
    default: false
  reuse_within:
    description:
      - With O(state=executed), take a matching command that succeeded no longer ago than this, by the clock of the
        workspace, as done, and change nothing.
      - A duration such as V(90s), V(10m) or V(1h30m), or a number of seconds.
      - O(env), O(run_after), O(work_session) and O(purpose) are not compared.
    type: str
  fail_if_sent:
    description:
      - With O(state=cancelled), whether a command that was delivered to its server already is a failure.
    type: bool
    default: true
  offline:
    description:
      - What to do about a server whose agent is not connected, with O(state=executed) and O(state=scheduled).
      - With V(wait), the command waits until the server is back, but no longer than O(wait_timeout). The task says so
        at once, unless O(progress=false). Where a workspace accepts no command for such a server, the outcome is
        V(offline) all the same.
      - With V(fail), the outcome is V(offline) within seconds, and nothing is left behind; the command was not
        submitted, or was cancelled before it was delivered. Where the task means its inventory host, the host is
        unreachable.
      - V(skip) does the same as V(fail), but is no failure.
    type: str
    default: wait
    choices: [wait, fail, skip]
  max_concurrency:
    description:
      - How many commands may be unfinished at once, as a number or as a percentage of O(servers).
      - Left out, there is no limit.
    type: str
  max_errors:
    description:
      - How many commands may end badly before no more are submitted, as a number or as a percentage of O(servers).
      - The servers that were not tried are named. Left out, every server is tried.
    type: str
  progress:
    description:
      - Whether a line every few seconds says how many commands are still to be submitted, run, are done and failed.
      - Left out, it is on for several servers or ids, and off for one. A module that is shipped to another host cannot
        show it.
    type: bool
  success_codes:
    description:
      - Exit codes that count as success.
    type: list
    elements: int
    default: [0]
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.wait
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written, ever. O(state=executed) is predicted as a change; O(state=scheduled) and
        O(state=cancelled) are decided by reading.
  diff_mode:
    support: full
    details:
      - Shows what is scheduled and what is cancelled. O(state=executed) and O(state=finished) have nothing to show.
  idempotent:
    support: partial
    details:
      - O(state=scheduled), O(state=finished) and O(state=cancelled) are. O(state=executed) is with O(reuse_within).
  async:
    details:
      - Submit with O(wait=false), and await the commands later with O(state=finished).
notes:
  - Commands are the same when server, line, O(shell) and, where given, O(username) and O(groupname) are; schedules,
    when the time is too.
  - A server gets the command of a task once. Where several hosts of a task name the same servers in O(servers), the
    first of them submits, and the others fail before they send anything; such a task wants C(run_once=true), which
    strategies such as C(free) and C(host_pinned) take no notice of. Other tasks, other items of a loop and other
    commands are not concerned. Of a task that is delegated to other hosts than the controller, each host must name a
    server alike, by its name or by its UUID.
  - A task that is tried again, with C(until) or C(retries), does not submit again what may have been accepted or has
    not ended yet. It looks for that again, awaits it and returns what it finds. What has ended, or certainly was not
    accepted, is submitted again, so that C(until) polls with it.
  - When a line ends, the agent kills (SIGKILL) every process of its process group, also where the line succeeded. What
    is to go on takes a session of its own and gives up the output, as in
    C(setsid -w sh -c 'job >/dev/null 2>&1 </dev/null &'), or is started by C(systemd-run --collect job).
  - There are no options C(creates) and C(removes). They would need a second command, which the access list of a token
    may refuse.
  - Standard output and standard error are one stream in Alpacon, so RV(stderr) is empty.
  - With O(state=cancelled) and O(line), the commands of a server are read back to the last hundred and the last day.
    A command that has been held for longer on a busy server is cancelled by its id.
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

- name: Give a secret to a command
  herdops.alpacon.alpacon_command:
    server: db-01
    line: pg_dump --host replica app > /var/backups/app.sql
    env:
      PGPASSWORD: "{{ vault_pgpassword }}"

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

- name: Put it off to another time
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    username: root
    state: scheduled
    scheduled_at: "2031-01-02T03:00:00Z"
    reschedule: true

- name: See what cancelling it would change
  herdops.alpacon.alpacon_command:
    server: web-01
    line: reboot
    state: cancelled
  check_mode: true
  diff: true

- name: Submit now, await later
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
  description: One entry for each command, in the order of O(servers) or O(ids).
  returned: unless the task failed before anything was sent
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
      description: UUID of the command. Null where there is none, or none that is known.
      type: str
    server:
      description:
        - The RV(commands[].server.id) and RV(commands[].server.name) of the server; null where the workspace did not
          say.
      type: dict
      contains:
        id:
          description: UUID of the server.
          type: str
        name:
          description: Name of the server.
          type: str
    line:
      description: The command line.
      type: str
    status:
      description:
        - Where the workspace has it, in one word. V(scheduled), V(queued), V(verifying), V(awaiting_purpose),
          V(awaiting_approval), V(delivered), V(running), V(success), V(failed), V(denied), V(rejected), V(expired),
          V(cancelled), V(stuck) or V(error).
        - A word of a newer workspace comes as it is, and counts as unfinished.
      type: str
    outcome:
      description:
        - How it ended. V(success) and V(failed) ran.
        - V(denied), V(rejected), V(expired), V(cancelled) and V(parent_failed) never ran; V(refused) was not
          accepted, V(offline) neither, since its agent is not connected; V(not_tried) was not sent.
        - V(awaiting_approval) is held for a human, V(timed_out) was not finished in time, V(pending) is not awaited.
        - V(stuck), V(error) and V(unknown) mean that nobody can say; V(unknown) is a submit whose answer was lost,
          or a command that the workspace does not show.
        - V(sent) could not be cancelled, since it was delivered already.
      type: str
    rc:
      description: Exit code; null if it did not run or is not finished.
      type: int
    rc_assumed:
      description:
        - Whether the workspace did not state the exit code, so that RV(commands[].rc) is only what success or failure
          amount to.
      returned: when it is so
      type: bool
    stdout:
      description: Standard output and standard error, merged.
      type: str
    stdout_lines:
      description: RV(commands[].stdout) as lines.
      type: list
      elements: str
    stderr:
      description: Always empty, since Alpacon merges both streams.
      type: str
    stderr_lines:
      description: Always empty.
      type: list
      elements: str
    start:
      description:
        - When the server began, as ISO 8601 in UTC.
        - Where the workspace lists no times, RV(commands[].start) and RV(commands[].end) follow from what it does
          state.
      type: str
    end:
      description: When it ended, as ISO 8601 in UTC.
      type: str
    delta:
      description: How long it ran.
      type: str
    success:
      description: Whether it succeeded; null while that is open.
      type: bool
    ran:
      description: Whether the line was run at all; null where nobody can say.
      type: bool
    error_phase:
      description: Where it went wrong, in the workspace's word, such as V(agent_disconnected); null if it says nothing.
      type: str
    output_complete:
      description:
        - Whether nothing of the output is missing; null if there is none yet. RV(commands[].msg) says what is
          missing.
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
  description: With one command, this and every other key of RV(commands[]) stand at the top level as well.
  returned: with one command
  type: str
  sample: 550e8400-e29b-41d4-a716-446655440000
rc:
  description: As RV(commands[].rc).
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
  description: As RV(commands[].outcome).
  returned: with one command
  type: str
  sample: success
msg:
  description: What happened, in words; with several commands, which of them did not end well and why.
  returned: always
  type: str
  sample: 3 commands, none of them failed.
summary:
  description: How many commands had each outcome.
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
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import SPEC as COMMAND_SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command


def main() -> None:
    """Run, schedule, await and cancel commands."""
    run_module(COMMAND_SPEC, run_command)


if __name__ == "__main__":
    main()
