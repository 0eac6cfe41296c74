"""Who belongs to a project, who may come in, and what a role and a token allow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from engine.domain.roles import (
    PROJECT_ROLES,
    RANKS,
    RULES,
    SCOPES,
    Permission,
    Scope,
    allows,
    scope_allows,
)
from engine.domain.sign_in import SIGN_IN_THROTTLES, Throttled
from engine.domain.states import Role
from engine.models import ApiToken, Invitation, Membership, Project, StateChange, User
from engine.selectors.members import projects_of, role_in
from engine.services.masks import assignments, masks
from engine.services.people import api_tokens, invitations, members, users
from tests import factories
from tests.engine.test_races import in_threads

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough phrase"


@pytest.fixture
def lead(db: None) -> User:
    return factories.make_outsider("lena", role=Role.LEAD)


@pytest.fixture
def project(lead: User) -> Project:
    return factories.make_project(lead=lead)


def member(project: Project, role: Role = Role.ANNOTATOR) -> User:
    user = factories.make_outsider()
    factories.join(project, user, role)
    return user


def test_every_permission_has_a_rule_and_higher_roles_and_scopes_only_add() -> None:
    assert set(RULES) == set(Permission)
    for permission in Permission:
        reached = [allows(role, permission) for role in RANKS]
        assert reached == sorted(reached)
        assert reached[-1], "an admin may do everything"
        scoped = [scope_allows(scope, permission) for scope in SCOPES]
        assert scoped == sorted(scoped)
        assert scoped[-1]


def test_the_documented_table_has_every_permission() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for permission, rule in RULES.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| {rule.phrase}")), "")
        assert row, permission
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        may = [bool(cell) for cell in cells[1:4]]
        assert may == [allows(role, permission) for role in PROJECT_ROLES], row
        assert cells[4] in (rule.scope, ""), row


def test_reading_tokens_write_nothing() -> None:
    readable = {one for one in Permission if scope_allows(Scope.READ, one)}
    assert readable == {Permission.VIEW, Permission.SEE_JOBS}


def test_who_creates_a_project_leads_it_and_others_do_not_see_it(project: Project) -> None:
    stranger, admin = factories.make_outsider(), factories.make_outsider(role=Role.ADMIN)

    assert role_in(project, project.created_by) == Role.LEAD
    assert role_in(project, stranger) is None
    assert role_in(project, admin) == Role.ADMIN
    assert not projects_of(stranger).exists()
    assert list(projects_of(admin)) == [project]


def test_an_outsider_is_given_no_image_and_judges_no_mask(project: Project) -> None:
    image = factories.make_image(project)
    outsider = factories.make_outsider()
    mask = factories.save(assignments.lease_image(image, annotator=member(project))).mask

    with pytest.raises(NotAllowed, match="only an annotator may label images"):
        assignments.lease_next(project, annotator=outsider)
    with pytest.raises(NotAllowed):
        assignments.lease_image(image, annotator=outsider)
    with pytest.raises(NotAllowed):
        masks.reject_mask(mask, actor=outsider)


def test_a_reviewer_judges_the_masks_of_others_and_an_annotator_does_not(project: Project) -> None:
    image = factories.make_image(project)
    mask = factories.save(assignments.lease_image(image, annotator=member(project))).mask

    with pytest.raises(NotAllowed, match="only a reviewer may review masks"):
        masks.reject_mask(mask, actor=member(project))
    reviewer = member(project, Role.REVIEWER)
    masks.reject_mask(mask, actor=reviewer)

    mask.refresh_from_db()
    assert (mask.status, mask.reviewed_by) == ("rejected", reviewer)


def test_a_role_is_changed_and_the_change_is_on_record(project: Project, lead: User) -> None:
    ann = member(project)

    members.change_role(project, user=ann, role="reviewer", actor=lead)
    members.change_role(project, user=ann, role="reviewer", actor=lead)

    assert role_in(project, ann) == Role.REVIEWER
    membership = project.memberships.get(user=ann)
    steps = StateChange.objects.filter(subject_id=membership.pk).order_by("created_at")
    assert [(one.from_state, one.to_state) for one in steps] == [
        ("", "annotator"),
        ("annotator", "reviewer"),
    ]


def test_only_a_lead_manages_members_but_everybody_may_leave(project: Project) -> None:
    ann, reviewer = member(project), member(project, Role.REVIEWER)
    with pytest.raises(NotAllowed, match="only a lead may manage the members"):
        members.change_role(project, user=ann, role="lead", actor=reviewer)
    with pytest.raises(NotAllowed):
        members.remove_member(project, user=ann, actor=reviewer)
    with pytest.raises(NotAllowed):
        invitations.invite(project, role="lead", actor=reviewer)

    members.remove_member(project, user=ann, actor=ann)

    assert role_in(project, ann) is None


def test_the_last_lead_can_neither_go_nor_step_down(project: Project, lead: User) -> None:
    admin = factories.make_outsider(role=Role.ADMIN)
    with pytest.raises(Conflict, match="last lead"):
        members.remove_member(project, user=lead, actor=admin)
    with pytest.raises(Conflict, match="last lead"):
        members.change_role(project, user=lead, role="reviewer", actor=lead)

    second = member(project, Role.LEAD)
    members.change_role(project, user=lead, role="reviewer", actor=second)

    assert role_in(project, lead) == Role.REVIEWER


def test_nobody_is_made_admin_of_a_project(project: Project, lead: User) -> None:
    with pytest.raises(InvalidInput, match="one of annotator, reviewer, lead"):
        members.change_role(project, user=member(project), role="admin", actor=lead)
    with pytest.raises(IntegrityError, match="membership_role_known"), transaction.atomic():
        Membership.objects.create(project=project, user=factories.make_outsider(), role="admin")


def test_the_last_admin_stays_admin() -> None:
    ada = factories.make_outsider("ada", role=Role.ADMIN)
    for change in ({"role": "lead"}, {"is_active": False}):
        with pytest.raises(Conflict, match="last admin"):
            users.change_account(User.objects.get(pk=ada.pk), **change)

    factories.make_outsider(role=Role.ADMIN)
    users.change_account(ada, role="lead")

    ada.refresh_from_db()
    assert ada.role == "lead"


def test_an_expired_invitation_is_not_there(project: Project, lead: User) -> None:
    _, secret = invitations.invite(project, role="annotator", actor=lead)
    now = timezone.now()
    Invitation.objects.update(created_at=now - timedelta(days=9), expires_at=now)

    with pytest.raises(NotFound, match="has expired"):
        invitations.accept_as_new(secret, username="rita", password=PASSWORD)
    assert not User.objects.filter(username="rita").exists()


def test_the_secret_of_an_invitation_is_not_stored(project: Project, lead: User) -> None:
    invitation, secret = invitations.invite(project, role="annotator", actor=lead)

    invitation.refresh_from_db()
    assert secret not in str(invitation.__dict__)
    assert len(secret) >= 43


def test_a_used_invitation_cannot_be_revoked(project: Project, lead: User) -> None:
    invitation, secret = invitations.invite(project, role="annotator", actor=lead)
    invitations.accept_as_new(secret, username="rita", password=PASSWORD)

    with pytest.raises(Conflict, match="has been used"):
        invitations.revoke(invitation, actor=lead)


def test_a_token_is_bound_to_a_project_one_belongs_to(project: Project, lead: User) -> None:
    with pytest.raises(NotFound):
        api_tokens.create_token(factories.make_outsider(), name="x", scope="read", project=project)
    with pytest.raises(NotAllowed, match="needs a lead"):
        api_tokens.create_token(member(project), name="x", scope="lead", project=project)
    with pytest.raises(InvalidInput):
        api_tokens.create_token(lead, name="x", scope="root")
    with pytest.raises(InvalidInput, match="must not be empty"):
        api_tokens.create_token(lead, name=" ", scope="read")

    token, secret = api_tokens.create_token(lead, name="x", scope="lead", project=project)

    assert api_tokens.find_token(secret) == token
    assert api_tokens.find_token(secret + "x") is None


def test_a_token_has_an_owner_who_alone_revokes_it(project: Project, lead: User) -> None:
    token, secret = api_tokens.create_token(lead, name="x", scope="read")
    with pytest.raises(NotAllowed):
        api_tokens.revoke_token(token, actor=member(project))

    api_tokens.revoke_token(token, actor=lead)

    assert api_tokens.find_token(secret) is None
    assert ApiToken.objects.get().revoked_at is not None


def test_waits_grow_and_are_bounded() -> None:
    throttle = SIGN_IN_THROTTLES[Throttled.ACCOUNT_AND_ADDRESS]
    waits = [throttle.wait_after(number).total_seconds() for number in range(3, 12)]

    assert waits == [0, 0, 30, 60, 120, 240, 480, 900, 900]


def test_people_of_before_memberships_keep_their_projects(project: Project, lead: User) -> None:
    ann, ada = factories.make_outsider("ann"), factories.make_outsider("ada", role=Role.ADMIN)
    Membership.objects.all().delete()

    editor = SimpleNamespace(connection=connection)
    import_module("migrations.0004_members_of_today").join(apps, editor)

    roles = dict(project.memberships.values_list("user__username", "role"))
    assert roles == {"lena": "lead", "ann": "annotator", "ada": "lead"}
    assert ann.pk
    assert ada.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_who_open_one_invitation_one_gets_in() -> None:
    lead = factories.make_outsider("lena", role=Role.LEAD)
    project = factories.make_project(lead=lead)
    _, secret = invitations.invite(project, role="annotator", actor=lead)

    def join(name: str) -> Callable[[], object]:
        return lambda: invitations.accept_as_new(secret, username=name, password=PASSWORD)

    outcomes = in_threads(*[join(f"rival-{number}") for number in range(4)])

    assert sum(isinstance(one, User) for one in outcomes) == 1, outcomes
    assert User.objects.filter(username__startswith="rival").count() == 1
    assert project.memberships.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_leads_who_remove_each_other_leave_one() -> None:
    lead = factories.make_outsider("lena", role=Role.LEAD)
    project = factories.make_project(lead=lead)
    second = member(project, Role.LEAD)

    in_threads(
        lambda: members.remove_member(project, user=second, actor=lead),
        lambda: members.remove_member(project, user=lead, actor=second),
    )

    assert project.memberships.filter(role="lead").count() == 1
