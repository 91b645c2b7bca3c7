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
  - Runs checks on the servers of all hosts of the play, in one command for each server and user, and writes a report. A
    check is shell code with conditions for its exit code and output.
  - By default, the variables of a host set its checks, their parameters and its workspace.
  - The task fails unless the verdict is V(pass). The verdict is V(fail) if a finding has the severity O(fail_on) or
    worse. Otherwise it is V(inconclusive) if less than O(min_coverage) percent of the questions were answered, or if a
    workspace did not answer or refused the token.
  - Some workspaces, such as those of 2024, do not support environment variables of commands. There, each check is a
    command, and is V(unknown) if it is too long.
  - The role P(herdops.alpacon.audit#role) has checks for this module.
author:
  - herdops.alpacon contributors (@herdops)
options:
  checks:
    description:
      - Checks to run. By default, the variable C(audit_checks) of each host.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Unique name of the check.
        type: str
        required: true
      line:
        description:
          - Code for a POSIX shell, without input. Standard error is part of the output.
        type: str
        required: true
      title:
        description:
          - What is true if the check passes, such as V(Root cannot log in with a password).
        type: str
        default: ""
      rationale:
        description:
          - Why it matters.
        type: str
        default: ""
      remedy:
        description:
          - How to fix it. The list of what to fix first shows only the first paragraph. A second one, after an empty
            line, can explain V(unknown) results.
        type: str
        default: ""
      references:
        description:
          - Sections of benchmarks and controls, such as V(CIS 5.2.7).
        type: list
        elements: str
        default: []
      severity:
        description:
          - Severity of a failure.
        type: str
        default: high
        choices: [info, low, medium, high, critical]
      username:
        description:
          - System user that runs the check. By default, the account of the token.
        type: str
      applies_if:
        description:
          - Shell code that runs first. If it fails, the outcome is V(not_applicable).
        type: str
      looks_at:
        description:
          - Shell code that prints what the check looks at, such as the settings that it compares. The report shows the
            first 1,500 bytes, also where the check passed; they change no outcome. Do not print secrets.
          - Needs a workspace that supports environment variables of commands.
        type: str
        default: ""
      parameters:
        description:
          - Shell variables of the code, with default values. A list is joined with spaces.
          - The variable C(audit_NAME) of a host replaces a default. Do not pass secrets, because reports show values.
        type: dict
        default: {}
      timeout:
        description:
          - Seconds after which the check is stopped, with the outcome V(unknown). Needs C(timeout) of GNU coreutils on
            the server, and a workspace that supports environment variables of commands.
        type: int
        default: 30
      kind:
        description:
          - How to evaluate the output. Cannot be combined with O(checks[].results).
          - If the exit code is 127 or 126, or the shell prints that it did not find a program, the outcome is
            V(unknown), unless a line begins with C(problem:). To check that a program is installed, write
            C(command -v NAME || exit 1).
          - V(output), the default, passes if the exit code is 0 and O(checks[].matches), O(checks[].absent) and
            O(checks[].number) are met.
          - V(problems) ignores all other exit codes. A line that begins with C(problem:) fails the check. Without one,
            a line that begins with C(unknown:) or, after that, C(not applicable:) decides. Without any of these, the
            check passes if the last line is C(done), and is V(unknown) otherwise.
        type: str
        choices: [output, problems]
      matches:
        description:
          - Regular expressions that must all match the output. V(^) and V($) match at each line.
        type: list
        elements: str
        default: []
      absent:
        description:
          - Regular expressions that must not match the output.
        type: list
        elements: str
        default: []
      number:
        description:
          - Limit of the first number in the output, such as V(<= 90). Give C(<=), C(>=) or C(==), and a number or the
            name of a parameter. Quote it in YAML if it begins with C(>).
        type: str
      results:
        description:
          - How to read the results of another scanner from the output. The guide Audits by other scanners has examples.
          - C(format) is V(xccdf), V(tap), V(junit), V(inspec) or V(json).
          - C(rules) describes rules by C(name), C(title), C(rationale), C(severity), C(remedy) and C(references). A
            listed rule without a result is V(unknown).
          - With V(json), C(list) is the path of the results, by default the whole document. If it is an object, its
            keys are the names of the results. C(outcome), C(name), C(title), C(rationale), C(severity), C(remedy),
            C(references) and C(message) are paths in a result.
          - With V(json), C(versions) has the names of programs and benchmarks, each with the path of its version.
          - With V(json), C(outcome) and C(words) are required. C(words) lists the words at C(outcome) that mean
            C(passed), C(failed), C(unknown) and C(not_applicable). Other words mean V(unknown).
        type: dict
  benchmarks:
    description:
      - OpenSCAP profiles to evaluate on the servers. Each is a check with a result C(PROFILE/RULE) for each rule. By
        default, the variable C(audit_benchmarks) of each host.
      - Set O(username) to V(root), and O(wait_timeout) to V(30m).
    type: list
    elements: dict
    suboptions:
      file:
        description:
          - XCCDF data stream on the servers. An absolute path, or a name in C(/usr/share/xml/scap/ssg/content).
        type: str
        required: true
      profile:
        description:
          - Profile ID or the end of it, such as V(standard) for V(xccdf_org.ssgproject.content_profile_standard).
        type: str
        required: true
      tailoring:
        description:
          - Tailoring file on the servers. An absolute path, or a name in C(/usr/share/xml/scap/ssg/content).
        type: str
      tailoring_file:
        description:
          - Tailoring file on the controller, found as M(ansible.builtin.copy) finds its files. It is sent along with
            the commands, and the references of the check name its SHA-256. Use this or O(benchmarks[].tailoring).
        type: str
      evidence:
        description:
          - Fetch OpenSCAP's results (ARF) and HTML report of each server, and keep them in the directory C(evidence)
            of O(dest). The file C(SHA256SUMS) has their digests.
          - Together they have about 1 MB for each server. They go through the output of the command, so whoever may
            read that in the workspace may read them. Hashes of passwords are replaced by C((hidden)).
          - In workspaces without environment variables of commands, a benchmark with evidence is V(unknown).
        type: bool
        default: false
  library:
    description:
      - Directory on the controller with check sets. Each is a file C(NAME.yml) or C(NAME.yaml) with the list C(checks),
        and optionally C(functions), shell code that runs before each check. Templates are not evaluated.
    type: path
  check_sets:
    description:
      - Check sets in O(library) to run. The default is the variable C(audit_check_sets) of each host, or else all sets.
    type: list
    elements: str
  skip:
    description:
      - Names of checks to skip. For a result of another scanner, give C(CHECK/NAME). The default is the variable
        C(audit_skip) of each host.
    type: list
    elements: str
  severities:
    description:
      - Severities that replace those of checks, by the names of the checks. The default is the variable
        C(audit_severities) of each host.
    type: dict
  username:
    description:
      - System user for the checks of O(library) and O(benchmarks). The default is the variable C(audit_username) of
        each host, or else the account of the token.
    type: str
  hosts:
    description:
      - Hosts to audit. The default is all hosts of the play. In a play with C(serial), give C(ansible_play_batch).
      - The server of a host is the one in its variable C(alpacon_server_id), or else the one with the host's name.
    type: list
    elements: str
  waivers:
    description:
      - Failed results to accept, with the outcome V(waived). By default, the variables C(audit_waivers) of all hosts.
      - A waiver that has expired, or names an unknown check, host or group, causes a warning.
    type: list
    elements: dict
    suboptions:
      check:
        description:
          - Name of a check or result, or a pattern with V(*) and V(?).
        type: str
        required: true
      hosts:
        description:
          - Names of hosts, or patterns. Required without O(waivers[].groups).
        type: list
        elements: str
        default: []
      groups:
        description:
          - Inventory groups, such as V(all). Required without O(waivers[].hosts).
        type: list
        elements: str
        default: []
      reason:
        description:
          - Why the result is accepted.
        type: str
        required: true
      until:
        description:
          - Last day in UTC, such as V(2027-01-31). After it, the result fails again.
          - Quote the date if O(waivers) is a variable and ansible-core is older than 2.19.
        type: raw
        required: true
      approved_by:
        description:
          - Who accepted the result. This key, O(waivers[].since) and O(waivers[].ticket) are in all reports.
        type: str
      since:
        description:
          - The day of the approval, such as V(2026-11-02). It cannot be in the future, and does not change which
            results are accepted.
        type: raw
      ticket:
        description:
          - The ticket about the waiver, or its URL.
        type: str
  attestations:
    description:
      - Outcomes of rules that a person checked, because the scanner has no automatic check. They replace V(unknown)
        results of OpenSCAP with C(notchecked), and no other results. By default, the variables C(audit_attestations) of
        all hosts.
      - If several attestations cover a result, the one with the latest O(attestations[].checked_on) counts, even if it
        has expired.
      - An attestation that has expired, is not valid yet, or names an unknown check, host or group, causes a warning.
    type: list
    elements: dict
    suboptions:
      check:
        description:
          - Name of a result, such as C(PROFILE/RULE), or a pattern with V(*) and V(?).
        type: str
        required: true
      hosts:
        description:
          - Names of hosts, or patterns. Required without O(attestations[].groups).
        type: list
        elements: str
        default: []
      groups:
        description:
          - Inventory groups, such as V(all). Required without O(attestations[].hosts).
        type: list
        elements: str
        default: []
      outcome:
        description:
          - What the person found.
        type: str
        required: true
        choices: [passed, failed, not_applicable]
      checked_by:
        description:
          - Who checked. All keys are in all reports.
        type: str
        required: true
      checked_on:
        description:
          - The day of the check, such as V(2026-11-02). Before this day, the attestation does not count. It may be one
            day ahead of UTC.
          - Quote dates if O(attestations) is a variable and ansible-core is older than 2.19.
        type: raw
        required: true
      until:
        description:
          - Last day in UTC, such as V(2027-01-31). After it, the result is V(unknown) again.
        type: raw
        required: true
      proof:
        description:
          - Where the proof is, such as a URL or a path.
        type: str
        required: true
      note:
        description:
          - What the person saw. It becomes the message of the result.
        type: str
  reuse_within:
    description:
      - Do not repeat checks that passed or did not apply within this time, such as V(1h). By default, all checks
        run. Commands of other users of the workspace do not count.
    type: str
  wait_timeout:
    description:
      - How long to wait for each command, in seconds or as a duration such as V(10m). Commands that have not reached
        their server by then are cancelled, unless another audit submitted them.
      - The checks of a command may take four fifths of this together, at most 25 minutes. Later checks are V(unknown).
    type: str
    default: 5m
  max_concurrency:
    description:
      - Maximum number of unfinished commands, as a number or a percentage of the hosts. The default is no limit.
    type: str
  progress:
    description:
      - Whether to print the progress when it changes, and once a minute the servers that have not answered. The
        default is true for more than one host.
    type: bool
  fail_on:
    description:
      - The lowest severity that fails the task. With V(never), only O(min_coverage) can fail it.
    type: str
    default: high
    choices: [info, low, medium, high, critical, never]
  fail_after:
    description:
      - How long a finding may be open before it fails the task, such as V(14d), by severity. Findings of other
        severities fail it at once. Give severities of O(fail_on) or worse.
      - Needs O(dest), because the history of the findings is there, or in its parent if the name of O(dest) begins with
        a date. If the history cannot be read or written, findings of any age fail the task.
    type: dict
  min_coverage:
    description:
      - Minimum share of questions with an answer, in percent. A question is a check on a host, or a rule of another
        scanner on a host. With V(0), one answer is enough.
    type: float
    default: 95
  dest:
    description:
      - Directory on the controller for the report. Only the owner may read the files. By default, no report is written.
      - The history of the findings is in the file C(audit-history.jsonl.gz) in this directory, or in its parent if the
        name of the directory begins with a date, such as C(2026-11-24T091204Z).
    type: path
  formats:
    description:
      - Formats of the report, in the files C(audit.json), C(audit.xml), C(audit.md), C(audit.html) and C(audit.csv).
    type: list
    elements: str
    default: [json, junit, markdown, html]
    choices: [json, junit, markdown, html, csv]
  compare_to:
    description:
      - An earlier C(audit.json). The report and RV(overview) show what has changed since then, and why. A missing file
        causes a warning.
    type: path
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Submits and writes nothing. Checks that would run count as a change.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(reuse_within), a second audit submits nothing if every check passed.
  action:
    details:
      - Can be delegated to the controller only.
  bypass_host_loop:
    description: Runs once for all hosts of the play.
    support: full
    details:
      - With C(run_once), every host gets the registered result. The strategy C(free) is not supported.
seealso:
  - name: Audits
    description: The guide on checks, waivers and the verdict.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/audit.html
  - name: Hardening with the SCAP Security Guide
    description: The guide on benchmarks.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/hardening.html
  - name: Audits by other scanners
    description: The guide on checks with results.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/audit_scanners.html
  - module: herdops.alpacon.alpacon_command
"""

EXAMPLES = r"""
- name: Audit all hosts
  herdops.alpacon.alpacon_audit:
    checks:
      - name: disk-space
        line: df --output=pcent /
        number: <= 90
        remedy: Delete what is not needed.
      - name: kernel-pointers
        line: sysctl kernel.kptr_restrict
        matches: '= [12]$'
        severity: low
    reuse_within: 1h
    dest: audit-report
  run_once: true

- name: Check without failing
  herdops.alpacon.alpacon_audit:
    hosts: [web-01, web-02]
    checks:
      - name: reboot-needed
        line: test ! -e /run/reboot-required
    fail_on: never
    min_coverage: 0
  register: audit
  run_once: true

- name: Show what to fix
  ansible.builtin.debug:
    var: audit.overview
  run_once: true

- name: Run your own check sets
  herdops.alpacon.alpacon_audit:
    library: "{{ playbook_dir }}/checks"
    check_sets: [web]
    fail_on: critical
  run_once: true

- name: Accept a finding until March
  herdops.alpacon.alpacon_audit:
    checks:
      - name: old-kernel
        line: uname -r
        absent: ['^4[.]']
    waivers:
      - check: old-kernel
        groups: [web]
        reason: These servers are replaced in spring.
        until: "2027-03-31"
        approved_by: Kim Minji
        since: "2026-11-02"
        ticket: OPS-1204
    dest: audit-report
    compare_to: audit-report/audit.json
  run_once: true
"""

RETURN = r"""
verdict:
  description: V(pass), V(fail) or V(inconclusive). Null in check mode.
  returned: when there was an audit
  type: str
  sample: pass
msg:
  description: The verdict in a sentence, or why there was no audit.
  returned: always
  type: str
  sample: "1 finding of severity high or worse: web-01: disk-space (high): It is 97, and must be at most 90."
coverage:
  description: Percentage of questions with an answer. Null in check mode.
  returned: when there was an audit
  type: float
  sample: 99.1
summary:
  description: Counts of the whole audit, with reused answers, submitted commands and HTTP requests.
  returned: when there was an audit
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
    attested: 0
    not_reached: 0
    score: 95.2
    failed_by_severity: {critical: 1, high: 9, medium: 40, low: 20, info: 10}
    reused: 100
    commands: 198
    requests: 215
findings:
  description:
    - The failed and unknown results, the worst first. C(fails) is true if the result fails the audit.
      C(failing_since) is the time of the first failure in the history, or null.
  returned: when there was an audit
  type: list
  elements: dict
  sample:
    - host: web-01
      check: disk-space
      outcome: failed
      severity: high
      message: It is 97, and must be at most 90.
      rc: 0
      value: 97
      command: 550e8400-e29b-41d4-a716-446655440000
      failing_since: "2026-11-20T09:12:04Z"
      fails: true
failing:
  description: Number of failed results of severity O(fail_on) or worse.
  returned: when there was an audit
  type: int
  sample: 10
hosts_left:
  description:
    - Names of the hosts whose server was not reached or that have an unknown result, for the option O(hosts) of another
      audit.
  returned: when there was an audit
  type: list
  elements: str
  sample: [web-07]
servers:
  description: Servers that commands were submitted to.
  returned: when there was an audit
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
  description: Paths of the report's files.
  returned: when there was an audit
  type: list
  elements: str
  sample: [/home/me/audit-report/audit.json, /home/me/audit-report/audit.html]
overview:
  description: Summary of a few lines.
  returned: when there was an audit
  type: list
  elements: str
  sample:
    - "Audit of my-workspace.us1.alpacon.io: 2 servers, 1 check; 2 commands run, 0 answers reused"
    - "Verdict: fail. 2 of 2 questions answered (100%)."
    - "Fix these first:"
    - "  high: It is 97, and must be at most 90, on web-01 (disk-space): Delete what is not needed."
    - "1 failed (1 high), 1 passed"
    - "Report: /home/me/audit-report/audit.html"
requests:
  description: Number of HTTP requests.
  returned: when there was an audit
  type: int
  sample: 5
"""
