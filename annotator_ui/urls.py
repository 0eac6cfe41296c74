"""Every URL the web process answers."""

from __future__ import annotations

from django.urls import path

from annotator_ui.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
]
