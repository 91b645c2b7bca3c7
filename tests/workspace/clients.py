# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the vendor's own clients read beside commands and servers: accounts, tokens, rules, events, logs, and facts."""

from __future__ import annotations

import datetime
import typing as t
import uuid

import django_filters
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework import exceptions, serializers, views
from rest_framework.response import Response

from workspace import agent_api, auth, lifecycle, seeding, state
from workspace.dialects import Refusal, stamp
from workspace.models import Event, Group, Server, Token, User
from workspace.views import Base

Row = dict[str, t.Any]

SESSION_HOURS = 12


def _summary(user: User) -> Row:
    return {"id": str(user.id), "name": user.name, "email": user.email}


def _key(kind: str, *parts: t.Any) -> str:
    """An id for what has none of its own."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, ":".join(["alpacon", kind, *map(str, parts)])))


class AuthEnvView(views.APIView):  # type: ignore[misc]
    """How users log in, which a client asks before it has any credentials: here by password."""

    authentication_classes: t.ClassVar[list[type]] = []
    permission_classes: t.ClassVar[list[type]] = []

    def get(self, request: t.Any) -> Response:
        return Response({"auth0": {"method": "legacy"}, "language": "en"})


class LoginSerializer(serializers.Serializer):  # type: ignore[misc]
    workspace_url = serializers.CharField(required=False, allow_blank=True)
    username = serializers.CharField()
    password = serializers.CharField()


class LoginView(views.APIView):  # type: ignore[misc]
    """A session's token for a username and a password, which are the same here."""

    permission_classes: t.ClassVar[list[type]] = []

    def post(self, request: t.Any) -> Response:
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        username, password = serializer.validated_data["username"], serializer.validated_data["password"]
        if password != username or not User.objects.filter(username=username).exists():
            raise exceptions.AuthenticationFailed("Unable to log in with provided credentials.")
        token = seeding.add_token(f"session-{uuid.uuid4()}", user=username, session=True)
        expires = timezone.now() + datetime.timedelta(hours=SESSION_HOURS)
        return Response({"token": token.key, "expires_at": stamp(expires)})


class LogoutView(views.APIView):  # type: ignore[misc]
    def post(self, request: t.Any) -> Response:
        if request.auth is not None and request.auth.session:
            request.auth.delete()
        return Response({})


class UserFilter(django_filters.FilterSet):  # type: ignore[misc]
    class Meta:
        model = User
        fields: t.ClassVar = {"username": ["exact", "icontains"], "is_staff": ["exact"], "is_superuser": ["exact"]}


class UserViewSet(Base):
    filterset_class = UserFilter
    search_fields: t.ClassVar = ["username", "full_name", "email"]
    ordering_fields: t.ClassVar = ["username", "email"]
    ordering: t.ClassVar = ["username"]
    lookup_value_regex = "[^/.]+"

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.annotate(group_count=Count("groups"))

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), user_row)

    def retrieve(self, request: t.Any, pk: str) -> Response:
        return Response(user_row(self.get_object()))


def user_row(user: t.Any) -> Row:
    first, _space, last = user.full_name.partition(" ")
    return {
        "id": str(user.id),
        "username": user.username,
        "first_name": first,
        "last_name": last,
        "email": user.email,
        "phone": "",
        "tags": "",
        "description": "",
        "uid": 2000 + user.number,
        "shell": "/bin/bash",
        "home_directory": f"/home/{user.username}",
        "num_groups": user.group_count,
        "is_active": True,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "is_ldap_user": False,
        "date_joined": "2024-01-01T00:00:00Z",
    }


class MembershipFilter(django_filters.FilterSet):  # type: ignore[misc]
    user = django_filters.UUIDFilter(field_name="user_id")
    group = django_filters.UUIDFilter(field_name="group_id")


class MembershipViewSet(Base):
    filterset_class = MembershipFilter
    ordering: t.ClassVar = ["id"]
    ordering_fields: t.ClassVar = ["id"]

    def get_queryset(self) -> t.Any:
        return User.groups.through.objects.select_related("user", "group")

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), self._row)

    def _row(self, membership: t.Any) -> Row:
        group: Group = membership.group
        return {
            "id": _key("membership", membership.id),
            "group": str(group.id),
            "group_name": group.name,
            "user": _summary(membership.user),
            "role": "owner" if membership.user.is_superuser else "member",
        }


class TokenViewSet(Base):
    """API tokens, for who has logged in: a token cannot manage tokens."""

    search_fields: t.ClassVar = ["name"]
    filterset_fields: t.ClassVar = ["name"]
    ordering_fields: t.ClassVar = ["name", "updated_at"]
    ordering: t.ClassVar = ["-updated_at"]

    def get_queryset(self) -> QuerySet[Token]:
        if self.request.auth is None or not self.request.auth.session:
            raise exceptions.PermissionDenied
        return Token.objects.filter(user=self.request.user, session=False)

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), self._row)

    def _row(self, token: Token) -> Row:
        return {
            "id": _key("token", token.name),
            "name": token.name,
            "enabled": True,
            "scopes": ["*"],
            "updated_at": stamp(token.updated_at),
            "expires_at": None,
            "remote_ip": None,
        }


class PreferencesView(views.APIView):  # type: ignore[misc]
    """What is set for the whole workspace; of that, only whether it upgrades agents by itself."""

    def get(self, request: t.Any) -> Response:
        if state.current.dialect.name != "current":
            raise exceptions.NotFound
        if isinstance(request.user, Server):
            raise exceptions.PermissionDenied
        mode = state.current.switches.agent_rollout_policy
        return Response({"agent_rollout_policy": {"mode": mode, "maintenance_window": None}} if mode else {})


class CommandAclView(views.APIView):  # type: ignore[misc]
    """The rules of tokens, one row for each pattern; `token` narrows them."""

    def get(self, request: t.Any) -> Response:
        rows = [row for token in Token.objects.order_by("name") for row in _rules(token)]
        query = request.query_params
        wanted = query.get("token") or query.get("api_token")
        return Response(_page([row for row in rows if wanted in (None, row["token"])]))


def _rules(token: Token) -> list[Row]:
    return [
        {
            "id": _key("command-acl", token.name, pattern),
            "token": _key("token", token.name),
            "token_name": token.name,
            "command": pattern,
            "username": "",
            "groupname": "",
        }
        for pattern in token.acl
    ]


def _page(rows: list[Row]) -> t.Any:
    """A page that holds everything."""
    if state.current.dialect.paging == "links":
        return {"count": len(rows), "next": None, "previous": None, "results": rows}
    return {"count": len(rows), "current": 1, "next": None, "previous": None, "last": 1, "results": rows}


class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    server = django_filters.UUIDFilter(field_name="server_id")

    class Meta:
        model = Event
        fields: t.ClassVar = ["reporter", "record"]


class EventViewSet(Base):
    """What agents report; they do so at the same address."""

    filterset_class = EventFilter
    search_fields: t.ClassVar = ["server__name", "reporter", "record", "description"]
    ordering_fields: t.ClassVar = ["added_at", "reporter", "record"]
    ordering: t.ClassVar = ["-added_at"]
    lookup_value_regex = "[^/.]+"

    def get_queryset(self) -> QuerySet[Event]:
        servers = lifecycle.visible_servers(self.request.user)
        return Event.objects.filter(server__in=servers).select_related("server")

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), self._row)

    def retrieve(self, request: t.Any, pk: str) -> Response:
        return Response(self._row(self.get_object()))

    def _row(self, event: Event) -> Row:
        return {
            "id": str(event.id),
            "added_at": stamp(event.added_at),
            "server": _server(event.server),
            "reporter": event.reporter,
            "record": event.record,
            "description": event.description,
        }


def _server(server: Server) -> Row:
    system = f"{server.os_name or ''} {server.os_version or ''}".strip()
    return {"id": str(server.id), "name": server.name, "os": system, "is_connected": server.is_connected}


class LogView(views.APIView):  # type: ignore[misc]
    """The warnings that agents sent last, newest first."""

    def get(self, request: t.Any) -> Response:
        servers = {str(server.id): server for server in lifecycle.visible_servers(request.user)}
        wanted = request.query_params.get("server")
        rows = [
            {**entry, "server": _server(servers[entry["server"]])}
            for entry in reversed(state.current.logs)
            if entry["server"] in servers and wanted in (None, entry["server"])
        ]
        return Response(_page(rows[: int(request.query_params.get("page_size", 15))]))


class EmptyView(views.APIView):  # type: ignore[misc]
    """A list of what the stand-in never has."""

    def get(self, request: t.Any) -> Response:
        return Response(_page([]))


class SearchedView(EmptyView):
    """One that a search answers: walked by cursors, none of which was ever given out."""

    def get(self, request: t.Any) -> Response:
        if "cursor" in request.query_params:
            raise Refusal("invalid_cursor")
        return super().get(request)


class FactView(views.APIView):  # type: ignore[misc]
    """What an agent told last of its host, be it connected or not."""

    def get(self, request: t.Any, kind: str) -> Response:
        servers = lifecycle.visible_servers(request.user)
        if "server" in request.query_params:
            try:
                servers = servers.filter(id=uuid.UUID(request.query_params["server"]))
            except ValueError as error:
                raise exceptions.ValidationError({"server": ["Enter a valid UUID."]}) from error
        rows = [
            {"id": _key(kind, server.id, number), "server": _server(server), **fact}
            for server in servers
            for number, fact in enumerate(facts(server, kind))
        ]
        return Response(_page(rows))


def facts(server: Server, kind: str) -> list[Row]:
    """The rows of one kind: those reported, else what the record itself tells."""
    reported = server.facts.get(kind)
    if reported is None:
        reported = {
            "info": {
                "hostname": server.name,
                "cpu_type": server.cpu_type,
                "cpu_physical_cores": server.cpu_physical_cores,
                "cpu_logical_cores": server.cpu_logical_cores,
                "physical_memory": server.physical_memory,
            },
            "os": {"name": server.os_name, "version": server.os_version, "platform": server.platform},
            "time": {"boot_time": stamp(server.boot_time), "timezone": "UTC"},
        }.get(kind, [])
    return reported if isinstance(reported, list) else [reported]


def for_agents_too(view: t.Callable[..., HttpResponse], agents: t.Callable[..., HttpResponse]) -> t.Any:
    """One address for two: an agent's request is answered by the other view."""

    def choose(request: HttpRequest, **arguments: t.Any) -> HttpResponse:
        if auth.is_agent(request.META.get("HTTP_AUTHORIZATION", "")):
            return agents(request)
        return view(request, **arguments)

    choose.csrf_exempt = True  # type: ignore[attr-defined]
    return choose


events = for_agents_too(EventViewSet.as_view({"get": "list"}), agent_api.event)
logs = for_agents_too(LogView.as_view(), agent_api.log)
proc = for_agents_too(FactView.as_view(), agent_api.reported)
empty = for_agents_too(EmptyView.as_view(), agent_api.reported)
searched = for_agents_too(SearchedView.as_view(), agent_api.reported)
