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
from typing import TYPE_CHECKING

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

import collection_tree
from ansible.plugins.loader import init_plugin_loader

if TYPE_CHECKING:
    from faults.campaign import Campaign


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--seed", default="", help="what everything is drawn from (default: a random one)")
    parser.add_argument("--only", choices=("commands", "connection"), help="only the campaign of that name")
    parser.add_argument("--commands", type=int, default=5000, help="how many commands (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=500, help="how many over the connection (default: %(default)s)")
    parser.add_argument("--round", type=int, action="append", default=[], help="run this round only; may be repeated")
    parser.add_argument("--story", action="append", default=[], help="tell this story only; may be repeated")
    parser.add_argument("--lanes", type=int, default=2, help="workspaces of each dialect (default: %(default)s)")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    os.environ.update(collection_tree.environ())
    init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])

    # They import the collection, which Ansible finds from here on.
    from faults.campaign import Campaign, Plan
    from faults.connection import BOUNDS, ConnectionCampaign
    from faults.draw import Bounds

    seed = arguments.seed or str(secrets.randbelow(10**6))
    print(f"seed {seed}", flush=True)
    agreed = True
    for campaign, most, bounds in (
        (Campaign, arguments.commands, Bounds(stories=arguments.story)),
        (ConnectionCampaign, arguments.tasks, BOUNDS),
    ):
        if arguments.only in (None, campaign.name):
            plan = Plan(seed, most, sorted(arguments.round), bounds, arguments.lanes)
            agreed = carried_out(campaign(plan, say=lambda text: print(text, flush=True))) and agreed
    return 0 if agreed else 1


def carried_out(campaign: Campaign) -> bool:
    started = time.monotonic()
    agreed = campaign.run()
    took = f"{time.monotonic() - started:.0f} s"
    print(f"\n{campaign.name}: seed {campaign.plan.seed}, {took}, {len(campaign.complaints)} rounds with disagreements")
    print(campaign.table())
    return agreed


if __name__ == "__main__":
    sys.exit(main())
