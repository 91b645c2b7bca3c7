# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Import the private packages of this collection with Python's own loader, which keeps their bytecode.

ansible-core's loader compiles a module of a collection each time, that is, in each worker process.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

from ansible.utils.collection_loader._collection_config import AnsibleCollectionConfig

_PLUGINS = __name__.rpartition("plugin_utils.")[0]


class BytecodeFinder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module in a package whose folder is known."""
        return _get_finder(path[0]).find_spec(name) if path and name.startswith(_PLUGINS) and "._" in name else None


@functools.cache
def _get_finder(folder: str) -> FileFinder:
    return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


with contextlib.suppress(ValueError):  # Without ansible-core's finder, Python's own finds the modules.
    sys.meta_path.insert(sys.meta_path.index(AnsibleCollectionConfig.collection_finder), BytecodeFinder())
