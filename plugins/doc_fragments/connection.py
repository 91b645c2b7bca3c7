# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # For modules and plugins.
    DOCUMENTATION = r"""
options:
  url:
    description:
      - URL of the workspace, such as V(https://my-workspace.us1.alpacon.io). Required, here or in one of the places
        that the notes list.
    type: str
  token:
    description:
      - API token or service token. Required, here or in one of the places that the notes list.
    type: str
  validate_certs:
    description:
      - Whether to verify TLS certificates.
    type: bool
    default: true
  ca_path:
    description:
      - File or directory with the CA certificates to trust, in PEM format. If omitted, the file that
        E(REQUESTS_CA_BUNDLE) names, or else the certificates of the Python library C(requests).
    type: path
  request_timeout:
    description:
      - Seconds to wait for the next data of a response. A whole response may take four times as long, and have
        at most 128 MiB.
      - This does not limit how long a command may run.
    type: int
    default: 30
  requests_per_hour:
    description:
      - Quota of the token, the requests that the workspace allows it in an hour. When a run has made half of them, it
        polls less often, and prints live output later.
    type: int
    default: 1000
  declared_agent_name:
    description:
      - Who asks, in at most 100 characters of ASCII. Requests to the workspace declare it in the header
        C(X-Alpacon-Declared-Agent-Name), and the workspace records it beside each command. It is no secret.
      - If omitted, C(herdops.alpacon) with its version, and in AWX and automation controller the ID of the job.
    type: str
requirements:
  - ansible-core 2.16 or newer
  - The Python library C(requests)
notes:
  - >-
    A token is sent to one workspace only: C(alpacon_token) to the workspace of C(alpacon_url), and E(ALPACON_TOKEN) to
    the workspace of E(ALPACON_URL). If its URL is not set, the token is sent to the workspace of the inventory, if
    there is only one. For several workspaces, set C(alpacon_tokens) to a dictionary of tokens by URL.
  - The usual environment variables for proxies apply, except to a workspace on the same machine.
seealso:
  - name: Settings
    description: Guide with a table of all connection settings.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/getting_started.html
"""

    # For modules and plugins that a task runs.
    TASKS = r"""
options: {}
notes:
  - >-
    The connection settings come from the options of the task or C(module_defaults), then from the host variables
    C(alpacon_url), C(alpacon_token), C(alpacon_validate_certs), C(alpacon_ca_path), C(alpacon_request_timeout),
    C(alpacon_requests_per_hour) and C(alpacon_declared_agent_name), then from the environment variables with these
    names in upper case, such as E(ALPACON_URL), and last from the inventory that lists the host.
  - >-
    The variable C(alpacon_workspace), which the inventory P(herdops.alpacon.alpacon#inventory) sets, takes precedence
    over E(ALPACON_URL). An C(alpacon_url) of another workspace is an error.
"""

    # For plugins: the sources of each option.
    PLUGINS = r"""
requirements:
  - Python 3.10 or newer on the controller
options:
  url:
    env:
      - name: ALPACON_URL
    vars:
      - name: alpacon_url
  token:
    env:
      - name: ALPACON_TOKEN
    vars:
      - name: alpacon_token
  validate_certs:
    env:
      - name: ALPACON_VALIDATE_CERTS
    vars:
      - name: alpacon_validate_certs
  ca_path:
    env:
      - name: ALPACON_CA_PATH
    vars:
      - name: alpacon_ca_path
  request_timeout:
    env:
      - name: ALPACON_REQUEST_TIMEOUT
    vars:
      - name: alpacon_request_timeout
  requests_per_hour:
    env:
      - name: ALPACON_REQUESTS_PER_HOUR
    vars:
      - name: alpacon_requests_per_hour
  declared_agent_name:
    env:
      - name: ALPACON_DECLARED_AGENT_NAME
    vars:
      - name: alpacon_declared_agent_name
"""
