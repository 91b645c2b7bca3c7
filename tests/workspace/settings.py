# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Django's settings, and the switches that may change at run time."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

from django.conf import settings

#: Further connections to the database, for reads that lag.
REPLICAS = ("replica-0", "replica-1")
DIALECTS = ("current", "published", "2024")


def configure(database: Path) -> None:
    """Configure Django; must come before any model is imported."""
    # A query takes less than handing it to a thread would, and a single thread never waits for a lock of SQLite.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    settings.configure(
        DEBUG=False,
        SECRET_KEY="stand-in",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="workspace.urls",
        INSTALLED_APPS=["rest_framework", "django_filters", "workspace"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "workspace.views.unknown_routes"],
        APPEND_SLASH=True,
        USE_TZ=True,
        TIME_ZONE="UTC",
        USE_I18N=False,
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
        DATABASES={alias: _database(database) for alias in ("default", *REPLICAS)},
        DATABASE_ROUTERS=["workspace.replica.Router"],
        CHANNEL_LAYERS={"default": {"BACKEND": "workspace.hub.Layer", "CONFIG": {"capacity": 100_000}}},
        LOGGING_CONFIG=None,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["workspace.auth.HeaderAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_THROTTLE_CLASSES": ["workspace.auth.TokenThrottle"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_PARSER_CLASSES": [
                "rest_framework.parsers.JSONParser",
                "rest_framework.parsers.FormParser",
                "rest_framework.parsers.MultiPartParser",
            ],
            "EXCEPTION_HANDLER": "workspace.views.exception_handler",
            "UNAUTHENTICATED_USER": None,
        },
    )


def _database(path: Path) -> dict[str, t.Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"},
    }


@dataclasses.dataclass
class Switches:
    """The settings that the control API can change."""

    lean_rows: bool = False
    cancel_mode: t.Literal["mark", "delete"] = "mark"
    offline_mode: t.Literal["queue", "refuse"] = "queue"
    output: t.Literal["both", "result", "chunks"] = "both"
    throttle: str | None = None
    tick: float = 1.0
    stuck_after: float = 600.0
    gives_up_after: float | None = None
    line_max: int = 2048
    body_max: int | None = None
    inline_credentials: bool = True
    holds: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    sudo_holds: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    sudo_grants: bool = True
    ack_delay: float = 0.0
    line_seconds: float = 1800.0
    repeat_unit: float = 1.0
    offered_version: str = ""
    pinned_version: str = ""
    unhealthy_versions: list[str] = dataclasses.field(default_factory=list)
    health_window: float = 1.0
    upgrade_seconds: float = 0.0
    restart_delay: float = 0.2
    pam_servers: list[str] = dataclasses.field(default_factory=list)
    sudo_with_mfa: bool = True
    busy_servers: list[str] = dataclasses.field(default_factory=list)
    instant: bool = False
    instant_lines: int = 1
    instant_carried: str = ""
    ties: t.Literal["shuffled", "stable"] = "shuffled"
    read_lag: float = 0.0
    clock_skew: float = 0.0
    date_header: bool = True
    date_skew: float = 0.0
    whole_seconds: bool = False
    registration: bool = True
    event_scopes: bool = True
    websocket_url: str = ""
    object_storage: bool = True
    storage_url: str = ""
    file_lane: bool = True
    file_review: bool = False
    file_reuse_max: int = 90
    file_roots: bool = False
    transfer_status: t.Literal["null", "refused"] = "null"
    agent_rollout_policy: t.Literal["", "latest", "n_minus_1", "manual"] = ""
    agent_rollout_window: dict[str, t.Any] | None = None
    unavailable_modes: list[str] = dataclasses.field(default_factory=list)

    def change(self, values: dict[str, t.Any]) -> None:
        known = {field.name for field in dataclasses.fields(self)}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        for name, value in values.items():
            setattr(self, name, value)
