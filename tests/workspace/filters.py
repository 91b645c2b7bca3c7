# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters, search, ordering and paging, per dialect."""

from __future__ import annotations

import itertools
import random
import typing as t

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone
from rest_framework import filters, pagination
from rest_framework.response import Response

from workspace import state
from workspace.models import Command, Group, Server, User

_NEVER_NULL = {"added_at", "scheduled_at", "server", "name", "seq"}


class _KeyField(forms.ModelChoiceField):  # type: ignore[misc]
    def to_python(self, value: t.Any) -> t.Any:
        """Reject a key that is not a UUID, as older releases of Django do."""
        if value not in self.empty_values:
            self.queryset.model._meta.pk.to_python(value)
        return super().to_python(value)


class KeyFilter(django_filters.ModelChoiceFilter):  # type: ignore[misc]
    field_class = _KeyField


class CommandFilter2024(django_filters.FilterSet):  # type: ignore[misc]
    server = KeyFilter(queryset=Server.objects.all())
    requested_by = KeyFilter(queryset=User.objects.all())


class CommandFilter(django_filters.FilterSet):  # type: ignore[misc]
    server = django_filters.UUIDFilter(field_name="server_id")
    shell = django_filters.CharFilter()
    requested_by = django_filters.UUIDFilter(field_name="requested_by_id")
    requested_by_isnull = django_filters.BooleanFilter(field_name="requested_by", lookup_expr="isnull")
    is_scheduled = django_filters.BooleanFilter(method="by_schedule")

    class Meta:
        model = Command
        fields: t.ClassVar[list[str]] = []

    def by_schedule(self, queryset: QuerySet[Command], name: str, value: bool) -> QuerySet[Command]:
        lookup = "gt" if value else "lte"
        return queryset.filter(**{f"scheduled_at__{lookup}": timezone.now()})


class PublishedCommandFilter(CommandFilter):
    requested_by = django_filters.NumberFilter(field_name="requested_by__number")


class ServerFilter(django_filters.FilterSet):  # type: ignore[misc]
    owner = django_filters.ModelChoiceFilter(queryset=User.objects.all())
    groups = django_filters.ModelMultipleChoiceFilter(queryset=Group.objects.all())

    class Meta:
        model = Server
        fields: t.ClassVar = ["name", "version", "enabled", "commissioned", "starred"]


class CurrentServerFilter(ServerFilter):
    is_connected = django_filters.BooleanFilter()
    tag = django_filters.CharFilter(method="by_tag")

    def by_tag(self, queryset: QuerySet[Server], name: str, value: str) -> QuerySet[Server]:
        """Filter by `key:value`; both may contain colons."""
        colons = [position for position, character in enumerate(value) if character == ":"]
        wanted = Q(pk=None)
        for number, colon in enumerate(colons):
            stated = Cast(KeyTextTransform(value[:colon], "tags"), TextField())
            queryset = queryset.alias(**{f"tag_{number}": stated})
            wanted |= Q(**{f"tag_{number}": value[colon + 1 :]})
        return queryset.filter(wanted)


class MetricsFilter(CurrentServerFilter):
    class Meta:
        model = Server
        fields: t.ClassVar[list[str]] = []


class Search(filters.SearchFilter):  # type: ignore[misc]
    def get_search_terms(self, request: t.Any) -> list[str]:
        if state.current.dialect.name != "2024":
            return t.cast("list[str]", super().get_search_terms(request))
        text = request.query_params.get(self.search_param, "")
        return text.replace("\x00", "").replace(",", " ").split()


class Ordering(filters.OrderingFilter):  # type: ignore[misc]
    """Order as PostgreSQL does: null is the largest value, and ties change at each request.

    With `ties: stable` they keep the order of creation.
    """

    def filter_queryset(self, request: t.Any, queryset: t.Any, view: t.Any) -> t.Any:
        names = self.get_ordering(request, queryset, view) or []
        terms: list[t.Any] = [self._term(name) for name in names]
        if names and state.current.switches.ties == "shuffled":
            terms.append(_random_order(queryset.model._meta.db_table))
        elif names and getattr(view, "tie", None):
            terms.append(("-" if names[0].startswith("-") else "") + view.tie)
        return queryset.order_by(*terms) if terms else queryset

    def _term(self, name: str) -> t.Any:
        field = name.removeprefix("-")
        if field in _NEVER_NULL:
            return name
        return F(field).desc(nulls_first=True) if name.startswith("-") else F(field).asc(nulls_last=True)


_PRIME = 2**31 - 1
_requests = itertools.count()


def _random_order(table: str) -> RawSQL:
    """Return an order of a table's rows that differs at each request."""
    draw = random.Random(next(_requests))
    factor = draw.randrange(_PRIME // 1000, _PRIME)
    return RawSQL(f'("{table}"."rowid" * %s) %% %s', [factor, _PRIME])


class LinkedPages(pagination.PageNumberPagination):  # type: ignore[misc]
    """Pages with count, next and previous as addresses, and results."""

    page_size = 15
    page_size_query_param = "page_size"
    max_page_size = 100


class NumberedPages(LinkedPages):
    """Pages with count, and the numbers of this, the neighbouring and the last page."""

    def get_page_number(self, request: t.Any, paginator: t.Any) -> t.Any:
        number = request.query_params.get(self.page_query_param, 1)
        return paginator.num_pages if number in self.last_page_strings else number

    def get_paginated_response(self, data: t.Any) -> Response:
        page = self.page
        return Response(
            {
                "count": page.paginator.count,
                "current": page.number,
                "next": page.next_page_number() if page.has_next() else None,
                "previous": page.previous_page_number() if page.has_previous() else None,
                "last": page.paginator.num_pages,
                "results": data,
            }
        )
