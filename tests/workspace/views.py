# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API for clients: commands, servers, groups, users and preferences."""

from __future__ import annotations

import json
import re
import typing as t
import uuid

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import exceptions, status, views, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from workspace import filters, identity, lifecycle, serializers, state, verified
from workspace.dialects import Refusal, clock_skew
from workspace.models import Chunk, Command, Group, Server, User

# A password option, an assigned secret, or credentials in a URL, but no expanded variable.
_INLINE_CREDENTIAL = re.compile(
    r"\b(?:mysql\w*|mariadb\S*|mongo\w*|sshpass|smbclient|docker login)\b.*\s-p\s*(?![\"']?\$)[^\s-]"
    r"|--password(?:\s+|=)(?![\"']?\$)\S"
    r"|\b[A-Z0-9_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY)=(?![\"']?\$)\S"
    r"|\w+://[^/\s:@]+:[^/\s@]+@"
)
_REGISTRATION = re.compile(r"/api/servers/(registration-tokens/|registration-methods/|servers/register/)")


def exception_handler(error: Exception, context: dict[str, t.Any]) -> Response | None:
    response = views.exception_handler(error, context)
    if response is not None:
        view, request = context["view"], context["request"]
        commands = isinstance(view, CommandViewSet)
        write = request.method not in ("GET", "HEAD", "OPTIONS")
        response.data = state.current.dialect.error_body(error, response.data, commands, write)
    return response


def unknown_routes(get_response: t.Any) -> t.Any:
    """Let Django answer routes that the dialect lacks, with its HTML page."""

    def middleware(request: t.Any) -> t.Any:
        unknown = state.current.dialect.unknown_routes
        if unknown is not None and unknown.match(request.path):
            raise Http404
        if not state.current.switches.registration and _REGISTRATION.match(request.path):
            raise Http404
        return get_response(request)

    return middleware


class Base(viewsets.GenericViewSet):  # type: ignore[misc]
    filter_backends: t.ClassVar = [DjangoFilterBackend, filters.Search, filters.Ordering]

    @property
    def pagination_class(self) -> type:
        return filters.LinkedPages if state.current.dialect.paging == "links" else filters.NumberedPages

    def get_object(self) -> t.Any:
        """Find a row by its UUID in any spelling; anything else is not found."""
        try:
            key = uuid.UUID(self.kwargs["pk"])
        except ValueError as error:
            raise Http404 from error
        found = self.get_queryset().filter(pk=key).first()
        if found is None:
            raise Http404
        return found

    def paged(self, rows: QuerySet[t.Any], present: t.Callable[[t.Any], t.Any]) -> Response:
        page = self.paginate_queryset(rows)
        return self.get_paginated_response([present(item) for item in page])


class CommandViewSet(Base):
    ordering: t.ClassVar = ["-scheduled_at"]
    tie = "number"
    lookup_value_regex = "[^/.]+"

    @property
    def filterset_class(self) -> type:
        return {
            "2024": filters.CommandFilter2024,
            "published": filters.PublishedCommandFilter,
            "current": filters.CommandFilter,
        }[state.current.dialect.name]

    @property
    def search_fields(self) -> list[str]:
        fields = ["server__name", "line", "requested_by__username", "requested_by__full_name"]
        return [*fields, "server__id", "result"] if state.current.dialect.name == "2024" else fields

    @property
    def ordering_fields(self) -> list[str]:
        if state.current.dialect.name == "2024":
            return ["added_at", "elapsed_time", "server", "requested_by", "line"]
        return ["added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at"]

    def get_queryset(self) -> QuerySet[Command]:
        return lifecycle.visible_commands(self.request.user).select_related("server", "requested_by")

    def list(self, request: t.Any) -> Response:
        with state.current.replica.reads():
            return self.paged(self.filter_queryset(self.get_queryset()), state.current.dialect.list_row)

    def retrieve(self, request: t.Any, pk: str) -> Response:
        with state.current.replica.reads():
            return Response(state.current.dialect.detail_row(self.get_object()))

    def create(self, request: t.Any) -> Response:
        if isinstance(request.user, Server):
            raise exceptions.PermissionDenied
        dialect = state.current.dialect
        kind = serializers.CurrentCommandSerializer if dialect.name == "current" else serializers.CommandSerializer
        is_file = dialect.name == "current" and "file" in request.data
        body, file = verified.read_body(request.data) if is_file else (request.data, None)
        serializer = kind(
            body,
            servers=lifecycle.visible_servers(request.user),
            commands=lifecycle.visible_commands(request.user),
            line_max=state.current.switches.line_max,
        )
        serializer.is_valid(raise_exception=True)
        command = self._new_command(request, serializer.validated_data)
        if file:
            command.shell, command.data = "file", json.dumps(file)
            verified.check(command.server)
        self._check(request, command)
        lifecycle.submit(command)
        return Response(dialect.create_answer(command), status=status.HTTP_201_CREATED)

    def _new_command(self, request: t.Any, values: dict[str, t.Any]) -> Command:
        now, scheduled_at = timezone.now(), values.get("scheduled_at")
        username, groupname = identity.resolve(request.user, values.get("username", ""), values.get("groupname", ""))
        return Command(
            **{
                name: values.get(name) for name in ("server", "shell", "line", "data", "env", "purpose", "work_session")
            },
            username=username,
            groupname=groupname,
            scheduled_at=scheduled_at - clock_skew() if scheduled_at else now,
            added_at=timezone.now(),
            run_after=[str(parent.id) for parent in values.get("run_after", [])],
            requested_by=request.user if isinstance(request.user, User) else None,
            **identity.describe_client(request),
        )

    def _check(self, request: t.Any, command: Command) -> None:
        switches, server = state.current.switches, command.server
        if request.auth is not None and not identity.acl_allows(request.auth.acl, command.line):
            raise Refusal("acl")
        if switches.inline_credentials and _INLINE_CREDENTIAL.search(command.line):
            raise Refusal("inline_credential")
        if not server.commissioned:
            raise Refusal("not_commissioned")
        if switches.offline_mode == "refuse" and not (server.is_connected and server.enabled):
            raise Refusal("not_connected")

    def destroy(self, request: t.Any, pk: str) -> Response:
        command = self.get_object()
        if command.delivered_at is not None or command.handled_at is not None:
            raise Refusal("already_sent")
        if lifecycle.cancel(command):
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(state.current.dialect.detail_row(command))

    @action(detail=True)
    def chunks(self, request: t.Any, pk: str) -> Response:
        if not state.current.dialect.has_chunks:
            raise Http404
        with state.current.replica.reads():
            rows = Chunk.objects.filter(command_id=self.get_object().id, visible_at__lte=timezone.now())
            rows = rows.order_by("-seq" if request.query_params.get("ordering") == "-seq" else "seq", "id")
            rows = rows.filter(**_bounds(request))
            return self.paged(rows, lambda chunk: {"seq": chunk.seq, "content": chunk.content})


def _bounds(request: t.Any) -> dict[str, int]:
    """Parse seq__gte and seq__lte strictly, so that a blank one is an error."""
    bounds = {}
    for name in ("seq__gte", "seq__lte"):
        if name in request.query_params:
            try:
                bounds[name] = int(request.query_params[name])
            except ValueError as error:
                raise exceptions.ValidationError({name: ["Enter a whole number."]}) from error
    return bounds


class ServerViewSet(Base):
    @property
    def filterset_class(self) -> type:
        return filters.CurrentServerFilter if state.current.dialect.name == "current" else filters.ServerFilter

    search_fields: t.ClassVar = [
        *("id", "name", "version", "remote_ip"),
        *("owner__username", "owner__full_name", "groups__name"),
    ]
    ordering_fields: t.ClassVar = ["name", "commissioned", "version", "osquery_version", "load", "started_at", "owner"]
    ordering: t.ClassVar = ["name"]
    lookup_value_regex = "[^/.]+"

    def get_queryset(self) -> QuerySet[Server]:
        servers = lifecycle.visible_servers(self.request.user)
        return servers.select_related("owner").prefetch_related("groups")

    def list(self, request: t.Any) -> Response:
        present = state.current.dialect.server_row
        with state.current.replica.reads():
            return self.paged(self.filter_queryset(self.get_queryset()), lambda server: present(server, detail=False))

    def retrieve(self, request: t.Any, pk: str) -> Response:
        with state.current.replica.reads():
            return Response(state.current.dialect.server_row(self.get_object(), detail=True))

    def partial_update(self, request: t.Any, pk: str) -> Response:
        """Change fields; `groups` replaces all groups."""
        server = self._own_object()
        current = state.current.dialect.name == "current"
        kind = serializers.CurrentServerSerializer if current else serializers.ServerSerializer
        serializer = kind(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        if "groups" in values:
            server.groups.set(values.pop("groups"))
        for name, value in values.items():
            setattr(server, name, value)
        server.save()
        return Response(state.current.dialect.server_row(self.get_object(), detail=True))

    def destroy(self, request: t.Any, pk: str) -> Response:
        """Delete a server; with `auto` even a connected one."""
        server = self._own_object()
        if request.query_params.get("auto", "true") == "false" and server.is_connected:
            raise Refusal("connected")
        lifecycle.remove_server(server)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"])
    def actions(self, request: t.Any, pk: str) -> Response:
        """Submit the internal command of an action, and answer as a create does."""
        dialect = state.current.dialect
        if dialect.name == "published" or isinstance(request.user, Server):
            raise Http404
        server = self.get_object()
        current = dialect.name == "current"
        kind = serializers.CurrentActionSerializer if current else serializers.ActionSerializer
        serializer = kind(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        if not server.commissioned:
            raise Refusal("action_early")
        if not server.is_connected:
            raise Refusal("action_offline")
        if current and server.name in state.current.switches.busy_servers and not values["force"]:
            raise Refusal("busy")
        if values["action"] == "install_pam":
            _check_pam(server)
        command = Command(
            server=server,
            shell="internal",
            line=serializers.ACTIONS.get(values["action"], values["action"]),
            groupname=identity.DEFAULT_GROUP,
            requested_by=request.user if isinstance(request.user, User) else None,
            **identity.describe_client(request),
        )
        lifecycle.submit(command)
        answer = dialect.create_answer(command) if current else dialect.detail_row(command)
        return Response(answer, status=status.HTTP_201_CREATED)

    def _own_object(self) -> Server:
        server: Server = self.get_object()
        if isinstance(self.request.user, Server) or not (
            self.request.user.is_staff or server.owner == self.request.user
        ):
            raise exceptions.PermissionDenied
        return server


def _check_pam(server: Server) -> None:
    """Refuse to install alpamon-pam where it is of no use, or is being installed."""
    if not state.current.switches.sudo_with_mfa:
        raise Refusal("pam_without_mfa")
    if server.platform in ("windows", "darwin"):
        raise Refusal("pam_unsupported")
    if Command.objects.filter(server=server, line="install_pam", handled_at__isnull=True).exists():
        raise Refusal("pam_in_progress")


class GroupViewSet(Base):
    search_fields: t.ClassVar = ["name", "groupname"]
    ordering_fields: t.ClassVar = ["name"]
    ordering: t.ClassVar = ["name"]

    def get_queryset(self) -> QuerySet[Group]:
        return Group.objects.all()

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), self._row)

    def retrieve(self, request: t.Any, pk: str) -> Response:
        return Response(self._row(self.get_object()))

    def _row(self, group: Group) -> dict[str, str]:
        return {"id": str(group.id), "name": group.name, "display_name": group.name, "groupname": group.groupname}


class SelfView(views.APIView):  # type: ignore[misc]
    """The user of the token; a service token has none."""

    def get(self, request: t.Any) -> Response:
        user = request.user
        if not isinstance(user, User):
            raise Http404
        return Response(
            {
                **{name: getattr(user, name) for name in ("username", "email", "is_staff", "is_superuser")},
                "id": str(user.id),
                "phone": "",
                "uid": 2000 + user.number,
                "shell": "/bin/bash",
                "home_directory": f"/home/{user.username}",
            }
        )


class WhoamiView(views.APIView):  # type: ignore[misc]
    def get(self, request: t.Any) -> Response:
        if isinstance(request.user, User):
            return Response(
                {"principal_type": "user", "auth": {"scopes": ["*"]}, "user": {"username": request.user.username}}
            )
        application = {"name": request.auth.name, "service_type": "api", "username": request.user.username}
        return Response({"principal_type": "application", "auth": {"scopes": ["*"]}, "application": application})


class PreferencesView(views.APIView):  # type: ignore[misc]
    """The settings of the workspace: the automatic upgrade of agents."""

    def initial(self, request: t.Any, *arguments: t.Any, **options: t.Any) -> None:
        super().initial(request, *arguments, **options)
        if state.current.dialect.name != "current":
            raise exceptions.NotFound
        if isinstance(request.user, Server):
            raise exceptions.PermissionDenied

    def get(self, request: t.Any) -> Response:
        switches = state.current.switches
        if not switches.agent_rollout_policy:
            return Response({})
        policy = {"mode": switches.agent_rollout_policy, "window": switches.agent_rollout_window}
        return Response({"agent_rollout_policy": policy})

    def patch(self, request: t.Any) -> Response:
        """Change the fields that the body names, also of the window."""
        if not request.user.is_staff:
            raise exceptions.PermissionDenied
        serializer = serializers.PreferencesSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        switches = state.current.switches
        policy = serializer.validated_data.get("agent_rollout_policy", {}) if switches.agent_rollout_policy else {}
        if policy.get("mode") in switches.unavailable_modes:
            raise Refusal("mode_unavailable")
        switches.agent_rollout_policy = policy.get("mode", switches.agent_rollout_policy)
        if "window" in policy:
            window = {**(switches.agent_rollout_window or {}), **policy["window"]}
            serializers.WindowSerializer(data=window).is_valid(raise_exception=True)
            switches.agent_rollout_window = window
        return self.get(request)
