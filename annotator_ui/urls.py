"""Every URL the web process answers."""

from __future__ import annotations

from django.urls import path

from annotator_ui.api import api
from annotator_ui.views import actions, errors
from annotator_ui.views.health import healthz
from annotator_ui.views.labelling import label
from annotator_ui.views.projects import project, projects
from annotator_ui.views.sign_in import sign_in, sign_in_link, sign_out

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-in/<str:token>/", sign_in_link, name="sign-in-link"),
    path("sign-out/", sign_out, name="sign-out"),
    path("", projects, name="projects"),
    path("projects/<slug:slug>/", project, name="project"),
    path("projects/<slug:slug>/label/", label, name="label"),
    path("projects/<slug:slug>/instructions/", actions.instructions, name="instructions"),
    path("projects/<slug:slug>/upload/", actions.upload, name="upload"),
    path("projects/<slug:slug>/retrain/", actions.retrain, name="retrain"),
    path("projects/<slug:slug>/advance/", actions.advance, name="advance"),
    path("projects/<slug:slug>/back/", actions.back, name="back"),
    path("projects/<slug:slug>/promote/", actions.promote, name="promote"),
    path("projects/<slug:slug>/export/", actions.export, name="export"),
    path("jobs/<uuid:job_id>/cancel/", actions.cancel_job, name="cancel-job"),
    path("jobs/<uuid:job_id>/retry/", actions.retry_job, name="retry-job"),
    path("api/", api.urls),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error
