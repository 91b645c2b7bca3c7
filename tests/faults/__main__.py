# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the fault campaigns: python tests/faults --seed 7 --commands 5000"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from pathlib import Path

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

import collection_tree
from ansible.plugins.loader import init_plugin_loader


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--seed", default="", help="what everything is drawn from (default: a random one)")
    parser.add_argument("--only", choices=("commands", "connection"), help="only the campaign of that name")
    parser.add_argument("--commands", type=int, default=5000, help="how many commands (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=500, help="how many over the connection (default: %(default)s)")
    parser.add_argument("--round", type=int, action="append", default=[], help="run this round only; may be repeated")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    os.environ.update(collection_tree.environ())
    init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])

    # They import the collection, which Ansible finds from here on.
    from faults.campaign import Campaign
    from faults.connection import ConnectionCampaign

    seed = arguments.seed or str(secrets.randbelow(10**6))
    print(f"seed {seed}", flush=True)
    agreed = True
    for kind, most in ((Campaign, arguments.commands), (ConnectionCampaign, arguments.tasks)):
        if arguments.only not in (None, kind.name):
            continue
        campaign, started = kind(seed, sorted(arguments.round), most), time.monotonic()
        campaign.run()
        agreed = agreed and not campaign.failures
        took = f"{time.monotonic() - started:.0f} s"
        print(f"\n{kind.name}: seed {seed}, {took}, {len(campaign.failures)} rounds with disagreements")
        print(campaign.table())
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
