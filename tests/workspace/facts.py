# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API for clients to what agents reported of their hosts, and to metrics, which tests put there."""

from __future__ import annotations

import typing as t

import django_filters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from rest_framework.response import Response

from workspace import agent_api, auth, filters, lifecycle, state
from workspace.dialects import Row
from workspace.models import SINGLE_FACTS, Fact, Server
from workspace.views import Base, ServerViewSet

_UNITS = {
    **dict.fromkeys(("cpu", "memory", "disk-usage"), "percent"),
    **dict.fromkeys(("disk-io", "net"), "bytes_per_sec"),
}


class FactFilter(django_filters.FilterSet):  # type: ignore[misc]
    server = django_filters.UUIDFilter(field_name="server_id")


class FactViewSet(Base):
    filterset_class = FactFilter

    @property
    def ordering_fields(self) -> list[str]:
        return ["added_at"] if state.current.dialect.name == "2024" else ["id", "added_at"]

    @property
    def ordering(self) -> list[str]:
        return ["-added_at"] if self.kwargs["kind"] in SINGLE_FACTS else ["name"]

    def get_queryset(self) -> QuerySet[Fact]:
        facts = Fact.objects.filter(kind=self.kwargs["kind"]).select_related("server")
        user = self.request.user
        return facts if user.is_staff else facts.filter(server__in=lifecycle.visible_servers(user))

    def list(self, request: t.Any, kind: str) -> Response:
        with state.current.replica.reads():
            return self.paged(self.filter_queryset(self.get_queryset()), state.current.dialect.fact_row)


class MetricsViewSet(ServerViewSet):
    """The list of servers with their latest metrics in place of their fields."""

    filterset_class = filters.MetricsFilter
    ordering_fields: t.ClassVar = ["name"]

    def get_queryset(self) -> QuerySet[Server]:
        return lifecycle.visible_servers(self.request.user)

    def list(self, request: t.Any) -> Response:
        with state.current.replica.reads():
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            known = Fact.objects.filter(kind="metrics", server__in=page).values_list("server_id", "values")
            cells = dict(known)
            return self.get_paginated_response([_metrics_row(server, cells.get(server.id, {})) for server in page])


def _metrics_row(server: Server, cells: Row) -> Row:
    row = {"id": str(server.id), "name": server.name, "is_connected": server.is_connected}
    return row | {name: _cell(unit, cells.get(name)) for name, unit in _UNITS.items()}


def _cell(unit: str, stated: t.Any) -> t.Any:
    """Return a cell with these of its fields, or with this value."""
    if stated is not None and not isinstance(stated, dict):
        stated = {"value": stated, "collected": True, "reason": None}
    empty = {"value": None, "unit": unit, "sampled_at": None, "device": None, "collected": False}
    return {**empty, "reason": "no_data", "interval_s": 60, **(stated or {})}


_list = FactViewSet.as_view({"get": "list"})
_list_metrics = MetricsViewSet.as_view({"get": "list"})


def facts(request: HttpRequest, route: str) -> HttpResponse:
    """Answer clients; agents report at the same address."""
    kind = route.removeprefix("proc/")
    if auth.is_agent(request.META.get("HTTP_AUTHORIZATION", "")):
        return agent_api.report(request, kind=kind)
    if route not in state.current.dialect.facts:
        return agent_api.accept_any(request, route)
    return t.cast(HttpResponse, _list_metrics(request) if route == "metrics/latest" else _list(request, kind=kind))
