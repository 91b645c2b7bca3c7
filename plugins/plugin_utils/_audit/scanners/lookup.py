# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What lookups have in common that make checks of content for scanners."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean
from ansible_collections.herdops.alpacon.plugins.plugin_utils._given import check_names

from .content import Wanted

#: Options of all of them.
_WANTED = ("path", "name", "severity", "username", "timeout")


class ChecksOfContent(LookupBase):
    """Make a check of each term, which is the path of a file on the controller."""

    #: The lookup, and the options that only it has.
    plugin: ClassVar[str]
    own: ClassVar[tuple[str, ...]]

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """One check for each term."""
        kwargs.pop("wantlist", None)  # a loop with_ passes it on before ansible-core 2.19
        options = (*self.own, *_WANTED)
        try:
            # Ansible takes options that there are not without a word.
            check_names(f"the lookup {self.plugin}", kwargs, options, f"Give some of {', '.join(options)}.")
            self.set_options(var_options=variables, direct=kwargs)
            wanted = Wanted(**{option: self.get_option(option) for option in _WANTED})
            return [self.check(self._found(str(term), variables), wanted) for term in self._flatten(terms)]
        except AlpaconError as error:
            raise AnsibleError(clean(error)) from None

    def check(self, path: str, wanted: Wanted) -> dict[str, Any]:
        """The check of the content in a file."""
        raise NotImplementedError

    def _found(self, term: str, variables: dict[str, Any] | None) -> str:
        """The file of a term, which is looked for where those of ansible.builtin.copy are."""
        return str(self.find_file_in_search_path(variables or {}, "files", term, ignore_missing=True) or term)
