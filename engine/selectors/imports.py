"""Questions about imports."""

from __future__ import annotations

from django.db.models import QuerySet

from engine.models import DatasetImport, Project


def for_project(project: Project) -> QuerySet[DatasetImport]:
    """All imports with their jobs, newest first."""
    return project.imports.select_related("job", "requested_by").order_by("-created_at", "-id")
