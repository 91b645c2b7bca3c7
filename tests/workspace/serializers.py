# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request bodies of clients."""

from __future__ import annotations

import typing as t
import zoneinfo

from django.db.models import QuerySet
from rest_framework import serializers

from workspace.models import Command, Group, Server


class CommandSerializer(serializers.Serializer):  # type: ignore[misc]
    """The body of a create; unknown fields are ignored."""

    shell = serializers.ChoiceField(choices=["system", "internal", "osquery"], default="system")
    line = serializers.CharField()
    data = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    username = serializers.CharField(required=False, allow_blank=True, max_length=128)
    groupname = serializers.CharField(required=False, allow_blank=True, max_length=128)
    scheduled_at = serializers.DateTimeField(required=False, allow_null=True)
    server = serializers.PrimaryKeyRelatedField(queryset=Server.objects.none())
    run_after = serializers.PrimaryKeyRelatedField(queryset=Command.objects.none(), many=True, required=False)

    def __init__(
        self, data: t.Any, servers: QuerySet[Server], commands: QuerySet[Command], line_max: int, **options: t.Any
    ) -> None:
        super().__init__(data=data, **options)
        self.fields["server"].queryset = servers
        self.fields["run_after"].child_relation.queryset = commands
        line = serializers.CharField(max_length=line_max)
        self.fields["line"] = line


class CurrentCommandSerializer(CommandSerializer):
    env = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False, allow_null=True)
    work_session = serializers.UUIDField(required=False)
    purpose = serializers.CharField(required=False, max_length=2000)


#: The internal command of each action.
ACTIONS = {"update_information": "commit", "upgrade_agent": "upgrade", "restart_agent": "restart"}
_OLD_ACTIONS = ("upgrade_system", "reboot_system", "shutdown_system", "shutdown_agent")


class ActionSerializer(serializers.Serializer):  # type: ignore[misc]
    action = serializers.ChoiceField(choices=[*ACTIONS, *_OLD_ACTIONS])


class CurrentActionSerializer(serializers.Serializer):  # type: ignore[misc]
    action = serializers.ChoiceField(choices=[*ACTIONS, "install_pam"])
    force = serializers.BooleanField(default=False)


class ServerSerializer(serializers.Serializer):  # type: ignore[misc]
    """The body of a change; unknown fields are ignored."""

    name = serializers.SlugField(max_length=64)
    groups = serializers.PrimaryKeyRelatedField(queryset=Group.objects.all(), many=True)


class CurrentServerSerializer(ServerSerializer):
    description = serializers.CharField(allow_blank=True, max_length=255)
    offline_alert_enabled = serializers.BooleanField()


class WindowSerializer(serializers.Serializer):  # type: ignore[misc]
    """The maintenance window of a policy; Monday is day 0."""

    days = serializers.ListField(child=serializers.IntegerField(min_value=0, max_value=6), allow_empty=False)
    start_hour = serializers.IntegerField(min_value=0, max_value=23)
    length_hours = serializers.IntegerField(min_value=1, max_value=24)
    timezone = serializers.ChoiceField(choices=sorted(zoneinfo.available_timezones()))


class PolicySerializer(serializers.Serializer):  # type: ignore[misc]
    mode = serializers.ChoiceField(choices=["latest", "n_minus_1", "manual"])
    window = WindowSerializer()


class PreferencesSerializer(serializers.Serializer):  # type: ignore[misc]
    agent_rollout_policy = PolicySerializer()
