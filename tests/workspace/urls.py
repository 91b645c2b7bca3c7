# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from workspace import agent_api, control, events, facts, registration, transfers, views

router = SimpleRouter()
router.register("api/events/commands", views.CommandViewSet, basename="command")
router.register("api/servers/servers", views.ServerViewSet, basename="server")
router.register("api/servers/registration-tokens", registration.RegistrationTokenViewSet, basename="registration-token")
router.register("api/webftp/uploads", transfers.UploadViewSet, basename="upload")
router.register("api/webftp/downloads", transfers.DownloadViewSet, basename="download")
router.register("api/iam/groups", views.GroupViewSet, basename="group")

urlpatterns = [
    path("_control/<path:route>", control.dispatch),
    path("api/events/commands/<uuid:pk>/ack/", agent_api.acknowledge),
    path("api/events/commands/<uuid:pk>/chunk/", agent_api.chunk),
    path("api/events/commands/<uuid:pk>/fin/", agent_api.finish),
    path("api/events/commands/<uuid:pk>/reject/", agent_api.reject),
    path("api/events/events/", agent_api.event),
    path("api/events/sessions/", events.SessionView.as_view()),
    path("api/events/subscriptions/", events.SubscriptionView.as_view()),
    path("api/servers/servers/register/", registration.RegisterView.as_view()),
    path("api/servers/servers/-/unregister/", registration.unregister),
    path("api/servers/servers/<uuid:pk>/unregister/", registration.unregister),
    path("api/servers/servers/-/", agent_api.own_server),
    path("api/servers/servers/-/commit/", agent_api.commit),
    path("api/servers/servers/-/sync/", agent_api.sync),
    path("api/servers/servers/-/access-policy/", agent_api.access_policy),
    path("api/servers/servers/-/sync-check/", agent_api.sync_check),
    path("api/metrics/config/", agent_api.no_metrics),
    path("api/workspaces/preferences/-/", views.PreferencesView.as_view()),
    path("api/iam/users/-/", views.SelfView.as_view()),
    path("api/auth/whoami/", views.WhoamiView.as_view()),
    *router.urls,
    re_path(r"^api/proc/(?P<kind>\w+)/(?:-/)?sync/$", agent_api.facts_to_sync),
    path("api/proc/<str:kind>/<uuid:pk>/", agent_api.report),
    re_path(r"^api/(?P<route>(?:proc|metrics)/\w+)/$", facts.facts),
    re_path(r"^api/(?P<rest>.*)/$", agent_api.accept_any),
]
