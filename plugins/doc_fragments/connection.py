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
      - Base URL of the workspace, such as V(https://my-workspace.us1.alpacon.io).
      - Required, unless it is set in one of the other places in the notes.
    type: str
  token:
    description:
      - API token or service token.
      - Required, unless it is set in one of the other places in the notes.
    type: str
  validate_certs:
    description:
      - Whether TLS certificates are verified.
    type: bool
    default: true
  ca_path:
    description:
      - File or directory with the CA certificates to trust, in PEM format.
      - If omitted, the file that E(REQUESTS_CA_BUNDLE) names, or else the one of the Python library C(requests).
    type: path
  request_timeout:
    description:
      - How many seconds the workspace may be silent during one request.
      - A complete answer must arrive within four times as long, and may have at most 128 MiB and a million values.
      - This does not limit how long a command may take.
    type: int
    default: 30
requirements:
  - ansible-core 2.16 or newer
  - The Python library C(requests), wherever the work is done
notes:
  - >-
    The connection settings O(url), O(token), O(validate_certs), O(ca_path) and O(request_timeout) are searched in this
    order. First, as options of the task or lookup or, for modules, in C(module_defaults) under
    C(group/herdops.alpacon.alpacon). Second, as the host variables C(alpacon_url), C(alpacon_token),
    C(alpacon_validate_certs), C(alpacon_ca_path) and C(alpacon_request_timeout). Third, in the environment as
    E(ALPACON_URL), E(ALPACON_TOKEN), E(ALPACON_VALIDATE_CERTS), E(ALPACON_CA_PATH) and E(ALPACON_REQUEST_TIMEOUT).
    Last, the settings that the inventory of that workspace was read with in the same run; of several inventories, the
    first one that lists the server of the host.
  - >-
    A host of the inventory P(herdops.alpacon.alpacon#inventory) has the variable C(alpacon_workspace), which takes
    precedence over E(ALPACON_URL). An C(alpacon_url) that names another workspace is an error.
  - >-
    A token is sent to its own workspace only. C(alpacon_tokens) is a dictionary of tokens by the URLs of their
    workspaces. C(alpacon_token) is the token of the workspace of C(alpacon_url), or else of E(ALPACON_URL);
    E(ALPACON_TOKEN) is that of E(ALPACON_URL). If no URL says which workspace they belong to, they are used as long as
    the inventory has hosts of one workspace only. If groups have their own C(alpacon_url) and share one
    C(alpacon_token) or E(ALPACON_TOKEN), it is sent to the first of these workspaces in a run, and tasks for the others
    fail; give each group its own C(alpacon_token), or use C(alpacon_tokens).
  - The usual environment variables for proxies are honoured, unless O(url) is an address of the machine itself, such as
    V(http://localhost:8000).
"""

    # For plugins: the sources of each option.
    PLUGINS = r"""
requirements:
  - Python 3.10 or newer
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
"""
