# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function in a thread of its own, and stop it where it needs something that is not there yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

_threads = threading.local()


class Aborted(BaseException):
    """Ends the function of a coroutine that is not needed any more."""


class Coroutine:
    """Function that runs only while its caller waits, so that no two threads run at the same time.

    Attributes:
        request: what the function waits for; None while it has not begun and when it has ended.
        value: what the function returned.
        assumed_stat: what the host would say of a file, instead of a query; None to query it.
        queries_stat: whether the function has queried the state of a file.
    """

    assumed_stat: Mapping[str, Any] | None = None
    queries_stat = False

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._answer: Any = None
        self._is_aborted = False
        self.request: Any = None
        self.value: Any = None
        self.has_ended = False

    @staticmethod
    def get_current() -> Coroutine | None:
        """Return the coroutine that runs this thread."""
        return getattr(_threads, "coroutine", None)

    def resume(self, answer: Any = None) -> None:
        """Let the function go on with an answer until it waits or ends, and raise its error."""
        self._answer, self.request = answer, None
        if not self._thread.ident:
            self._thread.start()
        self._turn.release()
        self._back.acquire()
        if self._error:
            error, self._error = self._error, None
            raise error

    def wait_for(self, request: Any) -> Any:
        """Stop, in the thread of the function, and return the answer."""
        if self._is_aborted:
            raise Aborted
        self.request = request
        self._back.release()
        self._turn.acquire()
        if self._is_aborted:
            raise Aborted
        return self._answer

    def abort(self) -> None:
        """End a function that waits."""
        if self._thread.ident and not self.has_ended:
            self._is_aborted = True
            self.resume()
        self.has_ended, self.request = True, None

    def _run(self) -> None:
        _threads.coroutine = self
        self._turn.acquire()
        try:
            self.value = self.function()
        except Aborted:
            pass
        except BaseException as error:
            self._error = error
        self.has_ended = True
        self._back.release()


def wait_for(request: Any) -> Any:
    """Let the coroutine of this thread wait, and return the answer."""
    coroutine = Coroutine.get_current()
    if coroutine is None:
        raise RuntimeError("only a coroutine can wait")
    return coroutine.wait_for(request)
