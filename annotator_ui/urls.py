"""Every URL the web process answers."""

from __future__ import annotations

from django.urls import path

from annotator_ui.addresses import API_BASE
from annotator_ui.api import api
from annotator_ui.views import account, actions, errors, members
from annotator_ui.views.health import healthz
from annotator_ui.views.image_browser import images
from annotator_ui.views.imports import import_report
from annotator_ui.views.jobs_page import jobs_page
from annotator_ui.views.join import join
from annotator_ui.views.labelling import label
from annotator_ui.views.loop_page import loop
from annotator_ui.views.projects import project, projects
from annotator_ui.views.sign_in import sign_in, sign_in_link, sign_out

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-in/<str:token>/", sign_in_link, name="sign-in-link"),
    path("sign-out/", sign_out, name="sign-out"),
    path("join/<str:token>/", join, name="join"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="password"),
    path("account/tokens/", account.new_token, name="new-token"),
    path("account/tokens/<uuid:token_id>/revoke/", account.revoke_token, name="revoke-token"),
    path("", projects, name="projects"),
    path("projects/<slug:slug>/", project, name="project"),
    path("projects/<slug:slug>/label/", label, name="label"),
    path("projects/<slug:slug>/images/", images, name="images"),
    path("projects/<slug:slug>/imports/<uuid:import_id>/", import_report, name="import"),
    path("projects/<slug:slug>/instructions/", actions.instructions, name="instructions"),
    path("projects/<slug:slug>/upload/", actions.upload, name="upload"),
    path("projects/<slug:slug>/retrain/", actions.retrain, name="retrain"),
    path("projects/<slug:slug>/loop/", loop, name="loop"),
    path("projects/<slug:slug>/policy/", actions.policy, name="policy"),
    path("projects/<slug:slug>/roll-back/", actions.roll_back, name="roll-back"),
    path("projects/<slug:slug>/starter-upgrade/", actions.starter_upgrade, name="starter-upgrade"),
    path("projects/<slug:slug>/advance/", actions.advance, name="advance"),
    path("projects/<slug:slug>/back/", actions.back, name="back"),
    path("projects/<slug:slug>/promote/", actions.promote, name="promote"),
    path("projects/<slug:slug>/export/", actions.export, name="export"),
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
    path("jobs/<uuid:job_id>/cancel/", actions.cancel_job, name="cancel-job"),
    path("jobs/<uuid:job_id>/retry/", actions.retry_job, name="retry-job"),
    path(f"{API_BASE[1:]}/", api.urls),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error
