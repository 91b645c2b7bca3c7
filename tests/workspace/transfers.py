# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File transfers: their records, the commands that make agents carry them out, and their status."""

from __future__ import annotations

import datetime
import json
import typing as t

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from workspace import dialects, identity, lifecycle, state
from workspace.dialects import Refusal
from workspace.models import Command, Server, Transfer, User


class TransferSerializer(serializers.Serializer):  # type: ignore[misc]
    """The fields that requests for uploads and for downloads have in common."""

    server = serializers.PrimaryKeyRelatedField(queryset=Server.objects.none())
    name = serializers.CharField(max_length=255)
    path = serializers.CharField(max_length=4096)
    username = serializers.CharField(required=False, allow_blank=True, max_length=128)
    groupname = serializers.CharField(required=False, allow_blank=True, max_length=128)
    work_session = serializers.UUIDField(required=False)

    def __init__(self, data: t.Any, servers: QuerySet[Server]) -> None:
        super().__init__(data=data)
        self.fields["server"].queryset = servers


class UploadSerializer(TransferSerializer):
    allow_overwrite = serializers.BooleanField(default=False)
    allow_unzip = serializers.BooleanField(default=False)


class DownloadSerializer(TransferSerializer):
    resource_type = serializers.ChoiceField(choices=["file", "folder"], default="file")


class _TransferViewSet(viewsets.GenericViewSet):  # type: ignore[misc]
    kind: str
    serializer_class: type[TransferSerializer]
    lookup_value_regex = "[0-9a-fA-F-]{36}"

    def initial(self, request: t.Any, *args: t.Any, **keywords: t.Any) -> None:
        super().initial(request, *args, **keywords)
        if state.current.dialect.name != "current":
            raise Http404
        if isinstance(request.user, Server):
            raise exceptions.PermissionDenied

    def get_queryset(self) -> QuerySet[Transfer]:
        servers = lifecycle.visible_servers(self.request.user)
        return Transfer.objects.filter(kind=self.kind, server__in=servers).select_related("server", "command")

    def _create(self, request: t.Any) -> Transfer:
        """Check and save a transfer."""
        serializer = self.serializer_class(request.data, lifecycle.visible_servers(request.user))
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        account = values.pop("username", ""), values.pop("groupname", "")
        username, groupname = identity.resolve(request.user, *account)
        transfer = Transfer(kind=self.kind, username=username, groupname=groupname, **values)
        if request.auth is not None and not identity.acl_allows(request.auth.file_acl, transfer.target):
            raise Refusal("acl")
        if not transfer.server.commissioned:
            raise Refusal("not_commissioned")
        transfer.requested_by = request.user if isinstance(request.user, User) else None
        transfer.created_by_request = request._request.scope.get("workspace.request")
        transfer.save(force_insert=True)
        return transfer

    def _row(self, transfer: Transfer) -> dialects.Row:
        names = ("id", "name", "path", "username", "groupname", "added_at")
        expires_at = dialects.stamp(transfer.added_at + datetime.timedelta(days=1))
        return dialects.fields(transfer, *names) | {"server": str(transfer.server_id), "expires_at": expires_at}

    @action(detail=True)
    def status(self, request: t.Any, pk: str) -> Response:
        """Answer whether the agent has done it; older servers refuse that until then."""
        transfer = self.get_object()
        command = transfer.command
        if command is None or command.handled_at is None:
            if state.current.switches.transfer_status == "refused":
                raise Refusal("transfer_in_progress")
            return Response({"success": None, "message": ""})
        return Response({"success": command.success, "message": command.result})


class UploadViewSet(_TransferViewSet):
    kind = "upload"
    serializer_class = UploadSerializer

    def create(self, request: t.Any) -> Response:
        transfer = self._create(request)
        row = self._row(transfer)
        if state.current.switches.object_storage:
            row["upload_url"] = state.current.storage.sign("PUT", transfer.id)
        return Response(row, status=status.HTTP_201_CREATED)

    @action(detail=True)
    def upload(self, request: t.Any, pk: str) -> Response:
        """Make the agent fetch the file; each request does that, though it is a GET."""
        transfer = self.get_object()
        data = {
            "content": state.current.storage.sign("GET", transfer.id),
            "path": transfer.target,
            "allow_overwrite": transfer.allow_overwrite,
        }
        transfer.starts += 1
        _submit(request, transfer, "download", data)
        return Response({})


class DownloadViewSet(_TransferViewSet):
    kind = "download"
    serializer_class = DownloadSerializer

    def create(self, request: t.Any) -> Response:
        transfer = self._create(request)
        storage = state.current.storage
        urls = {"download_url": storage.sign("GET", transfer.id), "upload_url": storage.sign("PUT", transfer.id)}
        transfer.starts += 1
        _submit(request, transfer, "upload", {"content": urls["upload_url"], "path": transfer.target})
        row = self._row(transfer) | urls | {"command": str(transfer.command_id), "size": None}
        return Response(row, status=status.HTTP_201_CREATED)


def _submit(request: t.Any, transfer: Transfer, verb: str, data: dict[str, t.Any]) -> None:
    """Submit the internal command of a transfer: agents download what clients upload."""
    server, offline = transfer.server, state.current.switches.offline_mode == "refuse"
    if offline and not (server.is_connected and server.enabled):
        raise Refusal("not_connected")
    transfer.command = Command(
        server=server,
        shell="internal",
        line=verb,
        username=transfer.username,
        groupname=transfer.groupname,
        data=json.dumps(data),
        scheduled_at=timezone.now(),
        requested_by=transfer.requested_by,
        **identity.describe_client(request),
    )
    lifecycle.submit(transfer.command)
    transfer.save()
