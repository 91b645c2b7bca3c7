# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that lag behind writes, as from database replicas: open transactions that see an older state.

Two read transactions start in turn, one every half lag, and clients read from the older one.
So what they read is between half a lag and a whole lag old. Without a lag, no transaction is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from django.db import connections

from workspace.settings import REPLICAS


class Router:
    """Database router of Django: sends lagging reads to a replica."""

    reading: str | None = None

    def db_for_read(self, model: type, **hints: t.Any) -> str | None:
        return Router.reading

    def db_for_write(self, model: type, **hints: t.Any) -> str:
        return "default"

    def allow_relation(self, one: t.Any, other: t.Any, **hints: t.Any) -> bool:
        return True


class Replica:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lag, self._older = 0.0, 0
        self._renewing: asyncio.TimerHandle | None = None

    def follow(self, lag: float) -> None:
        if lag == self._lag:
            return
        self._lag = lag
        for alias in REPLICAS:
            _end(alias)
            if lag:
                _begin(alias)
        self._schedule()

    @contextlib.contextmanager
    def reads(self) -> t.Iterator[None]:
        """Read from the replica inside this context."""
        Router.reading = REPLICAS[self._older] if self._lag else None
        try:
            yield
        finally:
            Router.reading = None

    def _schedule(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = self._loop.call_later(self._lag / 2, self._renew) if self._lag else None

    def _renew(self) -> None:
        self._schedule()
        if self._lag:
            _end(REPLICAS[self._older])
            _begin(REPLICAS[self._older])
            self._older = 1 - self._older


def _begin(alias: str) -> None:
    # The first statement that reads is what fixes the state that a transaction of SQLite sees.
    with connections[alias].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM workspace_command LIMIT 1").fetchall()


def _end(alias: str) -> None:
    if connections[alias].connection is not None and connections[alias].connection.in_transaction:
        connections[alias].connection.rollback()
