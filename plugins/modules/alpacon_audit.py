#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of this name.

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_audit
short_description: Audit servers through Alpacon and report what they answer
version_added: 1.0.0
description:
  - Asks the servers of all hosts of the play with checks, which are command lines and what is expected of their exit
    code and output. Writes a report as JSON, JUnit XML, Markdown and one HTML file.
  - It works all hosts in one task, with as few commands as possible. Checks that share server, line, shell, user and
    group share a command, and with O(reuse_within) recent commands answer instead of new ones.
  - A server that is offline, or whose command is refused, held or lost, does not fail the task. The questions to it
    have the outcome V(unknown) and count with O(unknown_severity).
  - The audit ends with a verdict, RV(verdict). It is V(fail) where there is a finding of O(fail_on) or worse, and
    V(inconclusive) where there is none and less than O(min_coverage) was answered. Both fail the task, when everything
    is written and returned.
  - Each host is asked in its own workspace, whose connection settings come from the host's variables, or from those of
    the play. One workspace is asked after the other, each for as long as O(wait_timeout), and the report names each
    server's workspace. A workspace that cannot be asked leaves the questions to its servers V(unknown), and the verdict
    is not V(pass) then, whatever O(min_coverage) is. Where none can be asked, the task fails without a verdict.
  - The role P(herdops.alpacon.audit#role) brings checks with it, and runs this module.
author:
  - herdops.alpacon contributors (@herdops)
options:
  checks:
    description:
      - The checks.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the check; no two have the same.
        type: str
        required: true
      line:
        description:
          - Command line. It goes to the server as it is, up to 2048 characters.
          - One that prints something in any case saves a request on workspaces of today.
        type: str
        required: true
      description:
        description:
          - What the check is about, for the report.
        type: str
        default: ""
      remedy:
        description:
          - What to do where it fails, for the report.
        type: str
        default: ""
      set:
        description:
          - Name of the group of checks that it belongs to, for the report.
        type: str
      severity:
        description:
          - How bad it is where it fails.
        type: str
        default: medium
        choices: [info, low, medium, high, critical]
      shell:
        description:
          - What takes the line.
        type: str
        default: system
        choices: [system, internal, osquery]
      username:
        description:
          - System user to run as. Left out, the one of the token's account.
        type: str
      groupname:
        description:
          - System group to run as.
        type: str
      rc:
        description:
          - Exit codes that are right. Some workspaces tell only whether it was V(0).
        type: list
        elements: int
        default: [0]
      contains:
        description:
          - Texts that the output must have, each of them.
        type: list
        elements: str
        default: []
      matches:
        description:
          - Regular expressions that must match somewhere in the output, each of them. V(^) and V($) match at each line.
        type: list
        elements: str
        default: []
      absent:
        description:
          - Regular expressions that must match nowhere in the output.
        type: list
        elements: str
        default: []
      unanswered:
        description:
          - Regular expressions that say, where one of them matches the output, that the server cannot answer. The
            outcome is V(unknown) then.
        type: list
        elements: str
        default: []
      number:
        description:
          - A number in the output, and between what it must be. Where there is none, the outcome is V(unknown).
        type: dict
        suboptions:
          extract:
            description:
              - Regular expression for the number, with parentheses around it where it matches more than that.
            type: str
            default: '-?\d+(?:\.\d+)?'
          pick:
            description:
              - Which one where it matches several times; V(count) is how many times it matches.
            type: str
            default: first
            choices: [first, last, min, max, sum, count]
          at_most:
            description:
              - The largest number that is right.
            type: float
          at_least:
            description:
              - The smallest number that is right.
            type: float
          equals:
            description:
              - The number that is right.
            type: float
      fact:
        description:
          - Name under which RV(facts) has the number, or else the output.
        type: str
      when:
        description:
          - Inventory groups; only hosts in one of them are asked. With V(!) in front, hosts in that group are not.
        type: list
        elements: str
        default: []
  skip:
    description:
      - Names of checks to leave out.
    type: list
    elements: str
    default: []
  severities:
    description:
      - Other severities for some checks, by their names.
    type: dict
    default: {}
  hosts:
    description:
      - The hosts to audit. Left out, all hosts of the play.
      - The server of a host is the one whose UUID is in the host's variable C(alpacon_server_id), else the one of the
        host's name.
    type: list
    elements: str
  reuse_within:
    description:
      - A duration such as V(1h). The newest command of the same server and line, and of the same user and group where
        they are given, that ran and ended no longer ago, by the clock of the workspace, is taken as the answer.
    type: str
  wait_timeout:
    description:
      - For how long to wait for each command, as a number of seconds or a duration such as V(90s) or V(10m).
      - What has not been delivered then is cancelled.
    type: str
    default: 5m
  max_concurrency:
    description:
      - How many commands may be unfinished at once, as a number or as a percentage of the hosts.
    type: str
  progress:
    description:
      - Whether a line every five seconds says how it goes. Left out, it does where there is more than one question.
    type: bool
  unknown_severity:
    description:
      - How bad it is where a question got no answer.
    type: str
    default: medium
    choices: [info, low, medium, high, critical]
  fail_on:
    description:
      - The severity from which a finding fails the task, or V(never).
      - With V(never) there is still a verdict, which is V(pass) or V(inconclusive), and O(min_coverage) still counts.
    type: str
    default: high
    choices: [info, low, medium, high, critical, never]
  min_coverage:
    description:
      - The share of the questions, in percent, that must be answered for the verdict V(pass). A question is a check on
        a host that it applies to, and an outcome other than V(unknown) answers it.
      - With V(0) nothing need be answered.
    type: float
    default: 95
  dest:
    description:
      - Folder on the controller for the report. Left out, no report is written.
      - Only its owner may read what is written there, since outputs can be confidential.
    type: path
  formats:
    description:
      - Formats of the report, which are the files C(audit.json), C(audit.xml), C(audit.md) and C(audit.html).
    type: list
    elements: str
    default: [json, junit, markdown, html]
    choices: [json, junit, markdown, html]
  compare_to:
    description:
      - C(audit.json) of an earlier audit; the report then shows what has changed since. Where there is no such file,
        a warning says so.
    type: path
  title:
    description:
      - Title of the report. Left out, it names the workspace.
    type: str
  output_limit:
    description:
      - How many characters of each output the report keeps.
    type: int
    default: 2000
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is submitted and nothing is written. What can be reused is judged, and the rest is predicted as a
        change.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(reuse_within), a second audit within that time submits nothing and reports no change.
  action:
    details:
      - It cannot be delegated to a host that is not the controller.
  bypass_host_loop:
    description: Is executed once for all hosts of the play.
    support: full
    details:
      - With C(run_once), what is registered is there for every host. It does not work with the strategy C(free).
notes:
  - A command costs one request, and the list is read for a hundred of them at once. An output that the workspace keeps
    in pieces, or that is empty, costs a request of its own on workspaces of today, and so does the exit code of a line
    that failed.
seealso:
  - module: herdops.alpacon.alpacon_command
  - module: herdops.alpacon.alpacon_command_info
"""

EXAMPLES = r"""
- name: Audit all hosts of the play
  herdops.alpacon.alpacon_audit:
    checks:
      - name: disk space
        line: df -P /
        number: {extract: '(\d+)%', at_most: 90}
        fact: disk_used
        severity: high
        remedy: Delete what is not needed.
      - name: kernel hardening
        line: sysctl kernel.kptr_restrict
        matches: '= [12]$'
        when: [web, "!test"]
    reuse_within: 1h
    dest: audit-report
  register: audit
  run_once: true

- name: Show how full the disks are
  ansible.builtin.debug:
    msg: "{{ audit.facts[inventory_hostname].disk_used | default('unknown') }}"

- name: Look at two servers, without a report, and fail neither for findings nor for what is not answered
  herdops.alpacon.alpacon_audit:
    hosts: [web-01, web-02]
    checks:
      - name: reboot needed
        line: test ! -e /var/run/reboot-required && echo no || echo yes
        contains: "no"
    fail_on: never
    min_coverage: 0
"""

RETURN = r"""
verdict:
  description:
    - V(pass), V(fail) or V(inconclusive), see O(min_coverage) and O(fail_on). The message of the last begins with
      C(Inconclusive:). In check mode there is none, since what was left out could change it, and this is null.
  returned: success
  type: str
  sample: pass
coverage:
  description:
    - The share of the questions that were answered, in percent, rounded down to one decimal. Null in check mode.
  returned: success
  type: float
  sample: 99.1
summary:
  description:
    - Counts of the whole audit. C(reused) counts recent commands that answered, C(commands) those that were submitted.
  returned: success
  type: dict
  sample:
    servers: 200
    checks: 12
    passed: 2300
    failed: 80
    unknown: 20
    failed_by_severity: {critical: 1, high: 9, medium: 40, low: 20, info: 10}
    reused: 100
    commands: 2300
    requests: 2420
findings:
  description:
    - What did not pass, the worst first, without outputs. C(fails) says whether it is as bad as O(fail_on).
  returned: success
  type: list
  elements: dict
  sample:
    - host: web-01
      check: disk space
      outcome: failed
      severity: high
      message: 97 is more than 90.
      rc: 0
      value: 97
      command: 550e8400-e29b-41d4-a716-446655440000
      fails: true
failing:
  description:
    - How many findings are as bad as O(fail_on).
  returned: success
  type: int
  sample: 10
servers:
  description:
    - The servers that commands were submitted to, whether they answered or not. Servers for which only recent commands
      answered are not among them.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: UUID of the server.
      type: str
      sample: 550e8400-e29b-41d4-a716-446655440000
    name:
      description: Name of the server; null where the workspace did not list it.
      type: str
      sample: web-01
facts:
  description:
    - For each host what its checks found, by the name that O(checks[].fact) gives it.
  returned: success
  type: dict
  sample: {web-01: {disk_used: 97}, web-02: {disk_used: 12}}
files:
  description:
    - Paths of the report's files.
  returned: success
  type: list
  elements: str
  sample: [/home/me/audit-report/audit.json, /home/me/audit-report/audit.html]
overview:
  description:
    - The audit in a few lines, for a person.
  returned: success
  type: list
  elements: str
  sample:
    - "Audit of my-workspace.us1.alpacon.io: 2 servers, 1 check; 2 commands run, 0 answers reused"
    - "Verdict: fail. 2 of 2 questions answered (100%)."
    - "passed                  1"
    - "unknown                 0"
    - "failed, high            1"
    - "Worst findings:"
    - "  web-01: disk space (high): 97 is more than 90."
requests:
  description: How many HTTP requests the task made.
  returned: success
  type: int
  sample: 5
"""
