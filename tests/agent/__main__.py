# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the agent's packages and serve them: python -m agent --host 127.0.0.1"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from agent.repository import CHANNELS, Repository

FOLDER = Path(__file__).resolve().parents[2] / "build/agent"


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="agent", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--build-only", action="store_true", help="only print where the packages are")
    arguments = parser.parse_args()
    repository = Repository(FOLDER, arguments.host)
    repository.build()
    if arguments.build_only:
        print(repository.root)
        return 0
    with repository:
        print(f"{repository.url}/{CHANNELS['stable']} signed by {repository.fingerprint}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
