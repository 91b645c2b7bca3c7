# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables. Large texts come last, so that counting rows does not read them."""

from __future__ import annotations

import datetime
import itertools
import secrets
import typing as t
import uuid

from django.db import models
from django.utils import timezone

_numbers = itertools.count(1)


def next_number() -> int:
    return next(_numbers)


def new_key() -> str:
    return secrets.token_urlsafe(24).replace("-", "x")


class Group(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=64, unique=True)
    groupname = models.CharField(max_length=64)

    class Meta:
        ordering: t.ClassVar = ["name"]


class User(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.PositiveIntegerField(unique=True)
    username = models.CharField(max_length=64, unique=True)
    full_name = models.CharField(max_length=128, blank=True)
    email = models.CharField(max_length=128, blank=True)
    is_staff = models.BooleanField(default=False)
    is_superuser = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group)

    is_authenticated = True

    @property
    def name(self) -> str:
        return self.full_name or self.username


class Token(models.Model):
    """An API token; without a user it is a service token."""

    name = models.CharField(max_length=64, unique=True)
    key = models.CharField(max_length=128, unique=True)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE)
    username = models.CharField(max_length=64, blank=True)
    acl = models.JSONField(default=list)
    #: Patterns of the paths that it may transfer.
    file_acl = models.JSONField(default=list)


class Server(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    # Not unique, since the API does not promise that: tests make two servers with one name.
    name = models.CharField(max_length=64, db_index=True)
    key = models.CharField(max_length=128, default=new_key)
    description = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True)
    agent = models.BooleanField(default=False)
    output = models.CharField(max_length=8, blank=True)
    allow_sh = models.BooleanField(default=True)
    accounts = models.CharField(max_length=8, blank=True)
    remote_ip = models.CharField(max_length=64, null=True)
    status = models.JSONField(null=True, default="auto")
    is_root = models.BooleanField(default=True)
    is_connected = models.BooleanField(default=False)
    commissioned = models.BooleanField(default=True)
    starred = models.BooleanField(default=False)
    version = models.CharField(max_length=64, null=True, default="2.5.0")
    osquery_version = models.CharField(max_length=64, null=True)
    cpu_physical_cores = models.PositiveIntegerField(null=True, default=2)
    cpu_logical_cores = models.PositiveIntegerField(null=True, default=4)
    cpu_type = models.CharField(max_length=64, null=True, default="x86_64")
    physical_memory = models.BigIntegerField(null=True, default=8 * 1024**3)
    os_name = models.CharField(max_length=64, null=True, default="Debian")
    os_version = models.CharField(max_length=64, null=True, default="13")
    platform = models.CharField(max_length=16, null=True, default="debian")
    load = models.FloatField(null=True, default=0.1)
    boot_time = models.DateTimeField(null=True, default=timezone.now)
    last_connectivity = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    added_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    offline_alert_enabled = models.BooleanField(default=True)
    tags = models.JSONField(default=dict)
    registered_with = models.CharField(max_length=64, blank=True)
    #: The hashes of what the agent reported, by kind of facts.
    sync_hashes = models.JSONField(default=dict)
    owner = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    groups = models.ManyToManyField(Group)

    is_authenticated = True  # an agent's requests are made in its server's name

    class Meta:
        ordering: t.ClassVar = ["name"]


class RegistrationToken(models.Model):
    """A token with which a new agent registers."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=64)
    key = models.CharField(max_length=128, unique=True, default=new_key)
    description = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True)
    added_at = models.DateTimeField(default=timezone.now)
    allowed_groups = models.ManyToManyField(Group)

    class Meta:
        ordering: t.ClassVar = ["name"]

    @property
    def usable(self) -> bool:
        return self.enabled and (self.expires_at is None or self.expires_at > timezone.now())


class Command(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.BigIntegerField(default=next_number)
    hidden = models.BooleanField(default=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, db_index=False)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    shell = models.CharField(max_length=16, default="system")
    username = models.CharField(max_length=128, blank=True)
    groupname = models.CharField(max_length=128, blank=True)
    added_at = models.DateTimeField(default=timezone.now)
    scheduled_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True)
    acked_at = models.DateTimeField(null=True)
    handled_at = models.DateTimeField(null=True)
    success = models.BooleanField(null=True)
    exit_code = models.IntegerField(null=True)
    error_phase = models.CharField(max_length=64, null=True)
    sudo_grant_status = models.CharField(max_length=32, null=True)
    elapsed_time = models.FloatField(null=True)
    # A status that no timestamp shows: a hold, a refusal, or one forced by a test.
    forced_status = models.CharField(max_length=32, blank=True)
    release_at = models.DateTimeField(null=True)
    release_to = models.CharField(max_length=32, blank=True)
    delivered_count = models.PositiveIntegerField(default=0)
    fin_count = models.PositiveIntegerField(default=0)
    created_by_request = models.PositiveIntegerField(null=True)
    created_by_token = models.CharField(max_length=64, blank=True)
    #: The header X-Alpacon-Declared-Agent-Name of that request.
    declared_agent = models.CharField(max_length=255, blank=True)
    run_after = models.JSONField(default=list)
    work_session = models.UUIDField(null=True)
    purpose = models.CharField(max_length=2000, null=True)
    env = models.JSONField(null=True)
    data = models.TextField(null=True)
    line = models.TextField()
    result = models.TextField(null=True)

    class Meta:
        indexes: t.ClassVar = [
            models.Index(fields=["hidden", "scheduled_at", "number"], name="by_schedule"),
            models.Index(fields=["hidden", "added_at", "number"], name="by_age"),
            models.Index(fields=["server", "hidden", "scheduled_at", "number"], name="by_server"),
            models.Index(
                fields=["scheduled_at"],
                name="pending",
                condition=models.Q(delivered_at__isnull=True, handled_at__isnull=True),
            ),
            models.Index(fields=["number"], name="open", condition=models.Q(handled_at__isnull=True)),
            models.Index(fields=["release_at"], name="held", condition=models.Q(release_at__isnull=False)),
        ]

    @property
    def response_delay(self) -> float | None:
        if self.acked_at is None or self.delivered_at is None:
            return None
        return round((self.acked_at - self.delivered_at).total_seconds(), 6)

    def status_at(self, now: datetime.datetime, stuck_after: float) -> str:
        """Return the status in the words of `current`."""
        if self.forced_status:
            return self.forced_status
        if self.handled_at is not None:
            return "success" if self.success else "failed"
        if self.delivered_at is not None:
            since = self.acked_at or self.delivered_at
            if (now - since).total_seconds() > stuck_after:
                return "stuck"
            return "running" if self.acked_at else "delivered"
        return "scheduled" if self.scheduled_at > now else "queued"


class Chunk(models.Model):
    command = models.ForeignKey(Command, on_delete=models.CASCADE)
    seq = models.PositiveIntegerField()
    visible_at = models.DateTimeField(default=timezone.now)
    content = models.TextField()


class Transfer(models.Model):
    """A file that is uploaded to a server, or downloaded from one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=8)
    server = models.ForeignKey(Server, on_delete=models.CASCADE)
    name = models.CharField(max_length=255)
    path = models.CharField(max_length=4096)
    username = models.CharField(max_length=128, blank=True)
    groupname = models.CharField(max_length=128, blank=True)
    allow_overwrite = models.BooleanField(default=False)
    allow_unzip = models.BooleanField(default=False)
    resource_type = models.CharField(max_length=8, default="file")
    work_session = models.UUIDField(null=True)
    added_at = models.DateTimeField(default=timezone.now)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    created_by_request = models.PositiveIntegerField(null=True)
    #: How often a client made the agent begin.
    starts = models.PositiveIntegerField(default=0)
    command = models.ForeignKey(Command, null=True, on_delete=models.SET_NULL)

    @property
    def target(self) -> str:
        """Return the path of the file: some clients state its folder with a slash at the end, others all of it."""
        return f"{self.path}{self.name}" if self.path.endswith("/") else self.path


class Approval(models.Model):
    """An approval of a verified file that stands: the same bytes, account and arguments need no other one."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64)
    until = models.DateTimeField()


#: Kinds of facts of which a server has one row, and of which it has several.
SINGLE_FACTS = ("info", "os", "time")
MULTI_FACTS = ("users", "groups", "interfaces", "addresses", "disks", "partitions")
#: These, and the cells of a server in `/api/metrics/latest/`.
KINDS_OF_FACTS = (*SINGLE_FACTS, *MULTI_FACTS, "metrics")


class Fact(models.Model):
    """A row of `/api/proc/`, or the cells of a row of `/api/metrics/latest/`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    server = models.ForeignKey(Server, on_delete=models.CASCADE)
    kind = models.CharField(max_length=16, db_index=True)
    # Empty for kinds of which a server has one row.
    name = models.CharField(max_length=64, blank=True)
    added_at = models.DateTimeField(default=timezone.now)
    values = models.JSONField()


TABLES: tuple[type[models.Model], ...] = (
    *(Group, User, Token, Server, RegistrationToken, Command, Chunk, Fact, Transfer, Approval),
)
