# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registration tokens, and registering and removing servers."""

from __future__ import annotations

import secrets
import typing as t
import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, serializers, status, views
from rest_framework.response import Response

from workspace import agent_api, auth, dialects, lifecycle, state
from workspace.models import Group, RegistrationToken, Server, Token
from workspace.views import Base

PLATFORMS = ("debian", "rhel", "darwin", "windows")
# What only the agent knows, so that a new record does not have it.
_UNKNOWN_YET = (
    *("version", "os_name", "os_version", "load", "boot_time"),
    *("cpu_type", "cpu_physical_cores", "cpu_logical_cores", "physical_memory"),
)


class RegistrationTokenSerializer(serializers.Serializer):  # type: ignore[misc]
    name = serializers.CharField(max_length=64)
    description = serializers.CharField(max_length=255, required=False, allow_blank=True)
    allowed_groups = serializers.PrimaryKeyRelatedField(queryset=Group.objects.all(), many=True, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class RegistrationSerializer(serializers.Serializer):  # type: ignore[misc]
    name = serializers.SlugField(max_length=64)
    platform = serializers.ChoiceField(choices=PLATFORMS)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)


def add_token(groups: t.Iterable[Group] = (), **fields: t.Any) -> RegistrationToken:
    token = RegistrationToken.objects.create(**fields)
    token.allowed_groups.set(groups)
    return token


def token_row(token: RegistrationToken) -> dict[str, t.Any]:
    names = ("id", "name", "description", "enabled", "expires_at", "added_at")
    return dialects.fields(token, *names) | {"allowed_groups": [str(group.id) for group in token.allowed_groups.all()]}


class RegistrationTokenViewSet(Base):
    search_fields: t.ClassVar = ["name", "description"]
    ordering_fields: t.ClassVar = ["name", "added_at", "expires_at"]
    ordering: t.ClassVar = ["name"]
    lookup_value_regex = "[^/.]+"

    def initial(self, request: t.Any, *arguments: t.Any, **options: t.Any) -> None:
        super().initial(request, *arguments, **options)
        if isinstance(request.user, Server) or not request.user.is_staff:
            raise exceptions.PermissionDenied

    def get_queryset(self) -> t.Any:
        return RegistrationToken.objects.prefetch_related("allowed_groups")

    def list(self, request: t.Any) -> Response:
        return self.paged(self.filter_queryset(self.get_queryset()), token_row)

    def retrieve(self, request: t.Any, pk: str) -> Response:
        return Response(token_row(self.get_object()))

    def create(self, request: t.Any) -> Response:
        serializer = RegistrationTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        if values.get("expires_at"):
            values["expires_at"] -= dialects.clock_skew()
        token = add_token(values.pop("allowed_groups", ()), **values)
        return Response(token_row(token) | {"key": token.key}, status=status.HTTP_201_CREATED)

    def destroy(self, request: t.Any, pk: str) -> Response:
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class RegistrationAuthentication(auth.HeaderAuthentication):
    """Authentication with a valid registration token."""

    def _by_token(self, key: str) -> tuple[t.Any, t.Any] | None:
        token = RegistrationToken.objects.filter(key=key).first()
        if token is not None and token.usable:
            return token, None
        if Token.objects.filter(key=key).exists():
            raise exceptions.PermissionDenied
        return self._unknown()


class MayRegister:
    def has_permission(self, request: t.Any, view: t.Any) -> bool:
        return isinstance(request.user, RegistrationToken)


class RegisterView(views.APIView):  # type: ignore[misc]
    authentication_classes: t.ClassVar = [RegistrationAuthentication]
    permission_classes: t.ClassVar = [MayRegister]

    def post(self, request: t.Any) -> Response:
        """Create a new record for every request."""
        serializer = RegistrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        server = _register(request.user, **serializer.validated_data)
        answer = {"id": str(server.id), "key": server.key, "name": server.name}
        return Response(answer, status=status.HTTP_201_CREATED)


def _register(token: RegistrationToken, name: str, platform: str, tags: dict[str, str] | None = None) -> Server:
    server = Server.objects.create(
        name=f"{name}-{secrets.token_hex(3)}",
        platform=platform,
        tags=tags or {},
        commissioned=False,
        registered_with=token.name,
        **dict.fromkeys(_UNKNOWN_YET),
    )
    server.groups.set(token.allowed_groups.all())
    return server


@agent_api.agent_only
def unregister(request: HttpRequest, server: Server, pk: uuid.UUID | None = None) -> HttpResponse:
    dialect = state.current.dialect
    error: exceptions.APIException | None = None
    if request.method != "DELETE":
        error = exceptions.MethodNotAllowed(request.method or "")
    elif pk not in (None, server.id):
        error = exceptions.PermissionDenied()
    if error is not None:
        body = dialect.error_body(error, {"detail": str(error.detail)}, commands=False, write=True)
        return JsonResponse(body, status=error.status_code)
    lifecycle.remove_server(server)
    return HttpResponse(status=204)
