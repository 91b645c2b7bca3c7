# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API for clients to what agents reported of their hosts: only what tests put there, see `seeding.add_facts`."""

from __future__ import annotations

import typing as t

import django_filters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from rest_framework.response import Response

from workspace import agent_api, auth, lifecycle, state
from workspace.models import SINGLE_FACTS, Fact
from workspace.views import Base


class FactFilter(django_filters.FilterSet):  # type: ignore[misc]
    server = django_filters.UUIDFilter(field_name="server_id")


class FactViewSet(Base):
    filterset_class = FactFilter

    @property
    def ordering_fields(self) -> list[str]:
        is_old = state.current.dialect.name == "2024"
        return ["added_at"] if is_old or self.kwargs["kind"] == "metrics" else ["id", "added_at"]

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


_list = FactViewSet.as_view({"get": "list"})


def facts(request: HttpRequest, route: str) -> HttpResponse:
    """Answer clients; agents report at the same address."""
    kind = route.replace("metrics/latest", "proc/metrics").partition("/")[2]
    if route not in state.current.dialect.facts or auth.is_agent(request.META.get("HTTP_AUTHORIZATION", "")):
        return agent_api.accept_any(request, route)
    return t.cast(HttpResponse, _list(request, kind=kind))
