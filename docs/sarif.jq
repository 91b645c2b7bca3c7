# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Convert the report of an audit (audit.json) to SARIF.
{"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"} as $scores
| {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"} as $levels
| {
    "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{
      tool: {driver: {
        name: "herdops.alpacon",
        rules: [.checks[] | {
          id: .name,
          shortDescription: {text: .title},
          help: {text: (if .remedy == "" then .title else .remedy end)},
          properties: {"security-severity": $scores[.severity]}
        }]
      }},
      results: [.results[] | select(.outcome | IN("failed", "unknown", "waived")) | {
        ruleId: .check,
        kind: (if .outcome == "unknown" then "open" else "fail" end),
        level: (if .outcome == "unknown" then "none" else $levels[.severity] end),
        message: {text: "\(.host): \(.message)\(.attestation | if . == null or .expired then ""
          else " (attested by \(.checked_by) on \(.checked_on), until \(.until), proof: \(.proof))" end)"},
        locations: [{physicalLocation: {artifactLocation: {uri: (.host | @uri)}}}],
        partialFingerprints: {"hostAndCheck/v1": "\(.host) \(.check)"},
        suppressions: (if .waiver and .outcome == "waived"
          then [{kind: "external", justification: (.waiver | [.reason,
            (select(.approved_by) | "approved by \(.approved_by)"), (select(.since) | "since \(.since)"),
            (select(.ticket) | "ticket \(.ticket)")] | join(", "))}] else [] end)
      }]
    }]
  }
