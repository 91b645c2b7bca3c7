#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The work is done by the action plugin of this name.

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_audit
short_description: Audit servers through Alpacon and report the findings
version_added: 1.0.0
description:
  - Runs checks on the servers of all hosts of the play. A check is a command line and what is expected of its exit code
    and output. Writes a report as JSON, JUnit XML, Markdown and one HTML file.
  - It handles all hosts in one task, with one command for each server and account, which asks all checks. With
    O(reuse_within), what passed lately is not asked again.
  - Each host is asked by its own variables. Checks, check sets, what to skip, severities and the parameters of checks
    may differ by group and host.
  - Workspaces that hand no variables to servers, such as those of 2024, are given a line for each check. A check that
    does not fit into a line there is V(unknown).
  - A server that is offline, or whose command is refused, held or lost, does not fail the task. It is named once, with
    the reason, and the questions to it count as not answered.
  - The audit ends with a verdict, RV(verdict). It is V(fail) if there is a finding of O(fail_on) or worse, and
    V(inconclusive) if there is none and less than O(min_coverage), or nothing, was answered. Both fail the task, after
    everything has been written and returned.
  - Each host is asked in its own workspace, whose connection settings come from the variables of the host or of the
    play. The workspaces are asked one after the other, and the report names the workspace of each server. If a
    workspace cannot be asked, its servers are not reached, and the verdict is not V(pass), whatever O(min_coverage) is.
    If none can be asked, the task fails without a verdict.
  - The role P(herdops.alpacon.audit#role) has check sets, and runs this module.
author:
  - herdops.alpacon contributors (@herdops)
options:
  checks:
    description:
      - The checks. If omitted, the variable C(audit_checks) of each host.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the check, which must be unique.
        type: str
        required: true
      line:
        description:
          - Code for a POSIX shell, such as C(dash), of one line or of many. It runs in a shell of its own, reads
            nothing, and sees the locale C(C). Standard error is part of its output.
          - A workspace of 2024 gets each check as a line of its own, with at most 512 characters.
        type: str
        required: true
      title:
        description:
          - What is true if the check passes, as a sentence without a full stop, for the report.
        type: str
        default: ""
      rationale:
        description:
          - Why that matters, for the report.
        type: str
        default: ""
      remedy:
        description:
          - What to do if it fails, for the report.
        type: str
        default: ""
      references:
        description:
          - Sections of benchmarks and controls that it is about, for the report.
        type: list
        elements: str
        default: []
      severity:
        description:
          - How bad it is if the check fails. The default fails the task, unless O(fail_on) is V(critical) or V(never).
        type: str
        default: high
        choices: [info, low, medium, high, critical]
      username:
        description:
          - System user to run as. If omitted, the one of the token's account.
        type: str
      applies_if:
        description:
          - Shell code that runs before O(checks[].line). If its exit code is not 0, the outcome is V(not_applicable).
        type: str
      parameters:
        description:
          - Values that O(checks[].line) and O(checks[].applies_if) have as variables of the shell, and
            O(checks[].number) as limits, each with its default, which is a text, a number, V(true), V(false) or a list.
            The elements of a list are joined with blanks.
          - The variable C(audit_NAME), of the host or of the play, is used in place of the default.
          - Reports show these values, also of variables that are encrypted with Ansible Vault. Do not pass secrets.
        type: dict
        default: {}
      timeout:
        description:
          - How many seconds the check may take on the server. If it takes longer, it is ended, and the outcome is
            V(unknown).
          - Checks that may take long run after the others.
          - It does not hold where each check is a line of its own, as in workspaces of 2024, and on servers without the
            C(timeout) of GNU coreutils.
        type: int
        default: 30
      kind:
        description:
          - How the output is judged. With V(output), the check passes if its exit code is 0 and O(checks[].matches),
            O(checks[].absent) and O(checks[].number) hold. This is the default, unless O(checks[].results) is given.
          - With V(problems), lines of the output say what is wrong. C(problem:) at the beginning of a line and a text
            make the check V(failed), C(unknown:) and a text V(unknown), C(not applicable:) and a text
            V(not_applicable), in this order. Otherwise it is V(passed), if the last line is C(done). The exit code
            does not count.
          - With V(results), the output has the results of another tool, see O(checks[].results).
        type: str
        choices: [output, problems, results]
      matches:
        description:
          - Regular expressions that must all match somewhere in the output. V(^) and V($) match at each line.
        type: list
        elements: str
        default: []
      absent:
        description:
          - Regular expressions of which none may match anywhere in the output.
        type: list
        elements: str
        default: []
      number:
        description:
          - A limit for the first number in the output, such as V(<= 90) or V(>= memory_min). It is one of C(<=), C(>=)
            and C(==), and a number or the name of one of O(checks[].parameters). Without a number, the outcome
            is V(unknown).
        type: str
      results:
        description:
          - How the output of another tool is read, for O(checks[].kind=results). Each result in it becomes one of the
            audit.
          - C(format) is V(xccdf), V(tap), V(junit), V(inspec) or V(json), and C(rules) adds what is known about rules.
            The guide
            L(Audits by other scanners,https://github.com/herdops/herdops.alpacon/blob/main/docs/docsite/rst/audit_scanners.rst)
            has the other keys.
        type: dict
  benchmarks:
    description:
      - Content for OpenSCAP, such as the SCAP Security Guide, that is on the servers. Each entry is one check, and has
        a result C(PROFILE/RULE) for each rule that the profile selects. Its rules have the severities of the content,
        or V(medium).
      - OpenSCAP must run as root, see O(username). A server without C(oscap), the content or the profile is unknown,
        and the report says what to install there.
      - An evaluation may take half an hour. It is ended sooner if O(wait_timeout) is shorter.
      - If omitted, the variable C(audit_benchmarks) of each host.
    type: list
    elements: dict
    suboptions:
      file:
        description:
          - Path of an XCCDF data stream on the servers, or the name of a file in C(/usr/share/xml/scap/ssg/content).
        type: str
        required: true
      profile:
        description:
          - Id of the profile, such as V(xccdf_org.ssgproject.content_profile_standard), or its end, V(standard).
        type: str
        required: true
      tailoring:
        description:
          - Path of a tailoring file on the servers, or the name of a file in C(/usr/share/xml/scap/ssg/content).
        type: str
  library:
    description:
      - Directory on the controller with check sets, a file C(NAME.yml) or C(NAME.yaml) for each, whose name is that of
        the set. The file is a dictionary with the list C(checks), and with C(functions), which is shell code that goes
        before the code of each of them. Nothing in it is a template.
    type: path
  check_sets:
    description:
      - Names of the check sets in O(library) to run. If omitted, the variable C(audit_check_sets) of each host, or else
        all of them.
    type: list
    elements: str
  skip:
    description:
      - Names of checks to skip. CHECK/NAME is a result of another tool, see O(checks[].results). If omitted, the
        variable C(audit_skip) of each host.
    type: list
    elements: str
  severities:
    description:
      - Other severities for some checks, by their names, as in O(skip). If omitted, the variable C(audit_severities) of
        each host.
    type: dict
  username:
    description:
      - System user that the checks of O(library) and of O(benchmarks) run as. If omitted, the variable
        C(audit_username) of each host, or else the user of the token's account.
    type: str
  hosts:
    description:
      - The hosts to audit. If omitted, all hosts of the play, which must not be cut into batches by C(serial) then. To
        audit each batch by itself, give C(ansible_play_batch).
      - The server of a host is the one whose UUID is in the host's variable C(alpacon_server_id), or else the one with
        the name of the host.
    type: list
    elements: str
  waivers:
    description:
      - Findings that are accepted for a while. If omitted, the variables C(audit_waivers) of all hosts.
      - A failed result that one of them is about has the outcome V(waived), and does not fail the audit. After
        O(waivers[].until), it fails again and says so. A waiver that is about no failed result causes a warning, if all
        that it is about was answered, and it is about hosts of this audit only. So does a host or group that the
        inventory does not have.
    type: list
    elements: dict
    suboptions:
      check:
        description:
          - Name of a check, or a pattern with V(*) and V(?).
        type: str
        required: true
      hosts:
        description:
          - Names of hosts, or patterns. Give this, O(waivers[].groups) or both.
        type: list
        elements: str
        default: []
      groups:
        description:
          - Inventory groups, such as V(all).
        type: list
        elements: str
        default: []
      reason:
        description:
          - Why it is accepted.
        type: str
        required: true
      until:
        description:
          - The last day, such as V(2027-01-31), in UTC. Before ansible-core 2.19, a date in a variable that O(waivers)
            names needs quotes. That is not so with the variable C(audit_waivers).
        type: raw
        required: true
  reuse_within:
    description:
      - A duration such as V(1h). What passed or did not apply in the newest command that asked the same of the same
        server, and of the same user and group if they are given, is taken as the answer, if the command ended within
        this time, by the clock of the workspace. What failed or was not answered is asked again.
      - If the answers of the workspace have no C(Date), or commands ended later than that, its clock is not known. Then
        no answer is reused, everything is asked again, and a warning says so.
      - A command that asks the same and still waits, for an approval for example, is awaited and not submitted again.
      - Only commands of the token's own requester count, since others could have anything answered.
    type: str
  wait_timeout:
    description:
      - For how long to wait for each command from when it was submitted, as a number of seconds or a duration such as
        V(90s) or V(10m). With O(max_concurrency), the whole audit may take many times as long.
      - The checks of a command have four fifths of this together, and 25 minutes at most. The outcome of those that are
        left then is V(unknown), and the answers of the others count.
      - Commands that have not been delivered by then, or not been approved, are cancelled.
      - If the request budget of a token is used up, servers are asked later, as long as no more than this has passed
        since its workspace was first asked. Those whose turn has not come by then are not asked.
    type: str
    default: 5m
  max_concurrency:
    description:
      - How many commands may be unfinished at the same time, as a number or as a percentage of the hosts.
    type: str
  progress:
    description:
      - Whether to print a line about the progress every five seconds. If omitted, it is printed if there is more than
        one question.
    type: bool
  fail_on:
    description:
      - The lowest severity that fails the task, or V(never).
      - With V(never), the verdict is still V(pass) or V(inconclusive), and O(min_coverage) still applies.
        What people read says "not judged" instead of V(pass).
    type: str
    default: high
    choices: [info, low, medium, high, critical, never]
  min_coverage:
    description:
      - The share of the questions, in percent, that must be answered for the verdict V(pass). A question is a check on
        a host, or each of the rules that such a check is known to have, and an outcome other than
        V(unknown) answers it.
      - With V(0), one answer is enough. If nothing was answered, the verdict is never V(pass).
    type: float
    default: 95
  dest:
    description:
      - Directory on the controller for the report. If omitted, no report is written.
      - Only the owner may read the files, since outputs can be confidential.
    type: path
  formats:
    description:
      - Formats of the report, which are the files C(audit.json), C(audit.xml), C(audit.md), C(audit.html) and
        C(audit.csv).
    type: list
    elements: str
    default: [json, junit, markdown, html]
    choices: [json, junit, markdown, html, csv]
  compare_to:
    description:
      - C(audit.json) of an earlier audit; the report then shows what has changed since. If there is no such file, a
        warning says so.
    type: path
  title:
    description:
      - Title of the report. If omitted, it names the workspace.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is submitted and nothing is written. Recent answers are judged, and the rest is predicted as a change.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(reuse_within), a second audit within that time submits nothing and reports no change, if everything
        passed.
  action:
    details:
      - It cannot be delegated to a host that is not the controller.
  bypass_host_loop:
    description: Is executed once for all hosts of the play.
    support: full
    details:
      - With C(run_once), every host gets the registered result. It does not work with the strategy C(free).
notes:
  - A command costs one request, and one request reads a hundred of them from the list. On today's workspaces, an output
    that is kept in pieces costs a request of its own.
seealso:
  - module: herdops.alpacon.alpacon_command
  - module: herdops.alpacon.alpacon_command_info
"""

EXAMPLES = r"""
- name: Audit all hosts of the play
  herdops.alpacon.alpacon_audit:
    checks:
      - name: disk space
        line: df --output=pcent /
        number: <= 90
        remedy: Delete what is not needed.
      - name: kernel hardening
        line: sysctl kernel.kptr_restrict
        matches: '= [12]$'
        severity: low
    reuse_within: 1h
    dest: audit-report
  run_once: true

- name: Look at two servers, without a report, and fail neither for findings nor for what is not answered
  herdops.alpacon.alpacon_audit:
    hosts: [web-01, web-02]
    checks:
      - name: reboot needed
        line: test ! -e /var/run/reboot-required
    fail_on: never
    min_coverage: 0
"""

RETURN = r"""
verdict:
  description:
    - V(pass), V(fail) or V(inconclusive), see O(min_coverage) and O(fail_on). The message of the last begins with
      C(Inconclusive:). In check mode there is none, since the commands that were not run could change it, and this is
      null.
  returned: when the audit was carried out, whatever its verdict
  type: str
  sample: pass
msg:
  description:
    - The verdict in a sentence, or why there was no audit.
  returned: always
  type: str
  sample: "1 finding of severity high or worse: web-01: disk space (high): It is 97, and must be at most 90."
coverage:
  description:
    - The share of the questions that were answered, in percent, rounded down to one decimal. Null in check mode.
  returned: when the audit was carried out, whatever its verdict
  type: float
  sample: 99.1
summary:
  description:
    - Counts of the whole audit. C(reused) counts answers from before, C(commands) what was submitted.
  returned: when the audit was carried out, whatever its verdict
  type: dict
  sample:
    servers: 200
    checks: 12
    questions: 2400
    passed: 2300
    failed: 80
    unknown: 20
    not_applicable: 0
    waived: 0
    not_reached: 0
    score: 95.2
    failed_by_severity: {critical: 1, high: 9, medium: 40, low: 20, info: 10}
    reused: 100
    commands: 198
    requests: 215
findings:
  description:
    - What did not pass, the worst first, without outputs. C(fails) says whether it is at least as bad as O(fail_on).
  returned: when the audit was carried out, whatever its verdict
  type: list
  elements: dict
  sample:
    - host: web-01
      check: disk space
      outcome: failed
      severity: high
      message: It is 97, and must be at most 90.
      rc: 0
      value: 97
      command: 550e8400-e29b-41d4-a716-446655440000
      fails: true
failing:
  description:
    - How many failed results are at least as bad as O(fail_on).
  returned: when the audit was carried out, whatever its verdict
  type: int
  sample: 10
servers:
  description:
    - The servers that commands were submitted to, whether they answered or not. Servers for which only recent commands
      answered are not among them.
  returned: when the audit was carried out, whatever its verdict
  type: list
  elements: dict
  contains:
    id:
      description: UUID of the server.
      type: str
      sample: 550e8400-e29b-41d4-a716-446655440000
    name:
      description: Name of the server; null if the workspace did not list it.
      type: str
      sample: web-01
files:
  description:
    - Paths of the report's files.
  returned: when the audit was carried out, whatever its verdict
  type: list
  elements: str
  sample: [/home/me/audit-report/audit.json, /home/me/audit-report/audit.html]
overview:
  description:
    - The audit in a few lines, for people to read.
  returned: when the audit was carried out, whatever its verdict
  type: list
  elements: str
  sample:
    - "Audit of my-workspace.us1.alpacon.io: 2 servers, 1 check; 2 commands run, 0 answers reused"
    - "Verdict: fail. 2 of 2 questions answered (100%)."
    - "Fix these first:"
    - "  high: / is 97% full; at most 90%, on web-01 (disk-space): du -xh / | sort -h | tail says what fills it"
    - "1 failed (1 high), 1 passed"
    - "Report: /home/me/audit-report/audit.html"
requests:
  description: How many HTTP requests the task made.
  returned: when the audit was carried out, whatever its verdict
  type: int
  sample: 5
"""
