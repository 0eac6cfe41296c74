"""Every URL the web process answers."""

from __future__ import annotations

from django.urls import path

from annotator_ui.api import api
from annotator_ui.features.accounts import pages as accounts
from annotator_ui.features.accounts.join import join
from annotator_ui.features.accounts.sign_in import sign_in, sign_in_link, sign_out
from annotator_ui.features.exports import forms as export_forms
from annotator_ui.features.images import forms as image_forms
from annotator_ui.features.images.pages import images
from annotator_ui.features.imports.pages import import_report
from annotator_ui.features.jobs import forms as job_forms
from annotator_ui.features.jobs.pages import jobs_page
from annotator_ui.features.labelling.pages import label
from annotator_ui.features.loop import forms as loop_forms
from annotator_ui.features.loop.pages import loop
from annotator_ui.features.members import pages as members
from annotator_ui.features.model_versions import forms as version_forms
from annotator_ui.features.projects import forms as project_forms
from annotator_ui.features.projects.pages import project, projects
from annotator_ui.http import error_pages
from annotator_ui.http.addresses import API_BASE
from annotator_ui.http.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-in/<str:token>/", sign_in_link, name="sign-in-link"),
    path("sign-out/", sign_out, name="sign-out"),
    path("join/<str:token>/", join, name="join"),
    path("account/", accounts.account, name="account"),
    path("account/password/", accounts.password, name="password"),
    path("account/tokens/", accounts.new_token, name="new-token"),
    path("account/tokens/<uuid:token_id>/revoke/", accounts.revoke_token, name="revoke-token"),
    path("", projects, name="projects"),
    path("projects/<slug:slug>/", project, name="project"),
    path("projects/<slug:slug>/label/", label, name="label"),
    path("projects/<slug:slug>/images/", images, name="images"),
    path("projects/<slug:slug>/imports/<uuid:import_id>/", import_report, name="import"),
    path("projects/<slug:slug>/instructions/", project_forms.instructions, name="instructions"),
    path("projects/<slug:slug>/upload/", image_forms.upload, name="upload"),
    path("projects/<slug:slug>/retrain/", version_forms.retrain, name="retrain"),
    path("projects/<slug:slug>/loop/", loop, name="loop"),
    path("projects/<slug:slug>/policy/", loop_forms.policy, name="policy"),
    path("projects/<slug:slug>/roll-back/", version_forms.roll_back, name="roll-back"),
    path(
        "projects/<slug:slug>/starter-upgrade/",
        version_forms.starter_upgrade,
        name="starter-upgrade",
    ),
    path("projects/<slug:slug>/advance/", loop_forms.advance, name="advance"),
    path("projects/<slug:slug>/back/", loop_forms.back, name="back"),
    path("projects/<slug:slug>/promote/", version_forms.promote, name="promote"),
    path("projects/<slug:slug>/export/", export_forms.export, name="export"),
    path("projects/<slug:slug>/members/", members.members, name="members"),
    path(
        "projects/<slug:slug>/members/<uuid:membership_id>/role/",
        members.change_role,
        name="change-role",
    ),
    path(
        "projects/<slug:slug>/members/<uuid:membership_id>/remove/",
        members.remove,
        name="remove-member",
    ),
    path(
        "projects/<slug:slug>/invitations/<uuid:invitation_id>/revoke/",
        members.revoke_invitation,
        name="revoke-invitation",
    ),
    path("projects/<slug:slug>/jobs/", jobs_page, name="jobs"),
    path("jobs/<uuid:job_id>/cancel/", job_forms.cancel_job, name="cancel-job"),
    path("jobs/<uuid:job_id>/retry/", job_forms.retry_job, name="retry-job"),
    path(f"{API_BASE[1:]}/", api.urls),
]

handler400 = error_pages.bad_request
handler403 = error_pages.permission_denied
handler404 = error_pages.page_not_found
handler500 = error_pages.server_error
