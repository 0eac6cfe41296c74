"""Inviting, joining, changing roles and leaving, through the pages."""

from __future__ import annotations

import re

from django.test import Client

from engine.models import Invitation, Membership, Project, User
from tests import factories
from tests.annotator_ui.conftest import PASSWORD, client_of


def invite(as_lead: Client, **changes: str) -> str:
    """Make an invitation on the page and return the path of its link."""
    form = {"name": "ann@example.org", "role": "reviewer", "life_days": "7", **changes}
    response = as_lead.post("/projects/roof-tiles/members/", form)
    page = response.content.decode()
    found = re.search(r'"invitation-link">http://testserver(/join/[^<]+)<', page)
    assert found is not None, response.content
    assert response.headers["Cache-Control"].count("no-store") == 1
    return found.group(1)


def test_an_invited_person_picks_a_name_and_is_a_member(as_lead: Client, project: Project) -> None:
    path = invite(as_lead)
    client = Client()
    for _ in range(3):  # link scanners and previews only GET
        assert b"Roof tiles" in client.get(path).content

    joined = client.post(
        path, {"username": "rita", "password": PASSWORD, "password_again": PASSWORD}
    )

    assert joined.headers["Location"] == "/projects/roof-tiles/"
    assert b"You are now reviewer" in client.get("/projects/roof-tiles/").content
    assert Membership.objects.get(user__username="rita").role == "reviewer"
    assert User.objects.get(username="rita").role == "annotator"
    page = as_lead.get("/projects/roof-tiles/members/").content.decode()
    assert 'data-member="rita" data-role="reviewer"' in page
    assert "invitation-row" not in page


def test_an_invitation_works_once(as_lead: Client, project: Project) -> None:
    path = invite(as_lead)
    form = {"password": PASSWORD, "password_again": PASSWORD}
    Client().post(path, {"username": "rita", **form})

    second = Client().post(path, {"username": "mallory", **form})

    assert second.status_code == 404
    assert b"has been used" in second.content
    assert not User.objects.filter(username="mallory").exists()


def test_somebody_with_an_account_joins_with_it(as_lead: Client, project: Project) -> None:
    path = invite(as_lead, role="annotator")
    outsider = factories.make_outsider("omar")
    client = client_of(outsider)
    assert client.get("/projects/roof-tiles/").status_code == 404

    assert b"Join as omar" in client.get(path).content
    client.post(path)

    assert client.get("/projects/roof-tiles/").status_code == 200


def test_what_is_wrong_with_a_new_account_is_said_and_the_link_stays_good(
    as_lead: Client, lead: User, project: Project
) -> None:
    path = invite(as_lead)
    wrong = {
        "already a user": ("lena", PASSWORD, PASSWORD),
        "not the same": ("rita", PASSWORD, "something else entirely"),
        "too short": ("rita", "short", "short"),
        "cannot be": ("", PASSWORD, PASSWORD),
    }
    for said, (name, password, again) in wrong.items():
        form = {"username": name, "password": password, "password_again": again}
        response = Client().post(path, form)
        assert response.status_code == 422
        assert said in response.content.decode(), said

    good = {"username": "rita", "password": PASSWORD, "password_again": PASSWORD}
    assert Client().post(path, good).status_code == 302


def test_a_revoked_invitation_is_worthless(as_lead: Client, project: Project) -> None:
    path = invite(as_lead)
    invitation = Invitation.objects.get()

    as_lead.post(f"/projects/roof-tiles/invitations/{invitation.pk}/revoke/")

    assert Client().get(path).status_code == 404


def test_an_absurd_invitation_is_refused(as_lead: Client, project: Project) -> None:
    for change in ({"role": "admin"}, {"life_days": "0"}, {"life_days": "x"}, {"life_days": "31"}):
        form = {"role": "annotator", "life_days": "7", **change}
        response = as_lead.post("/projects/roof-tiles/members/", form)
        assert response.status_code == 422
        assert b"invitation-link" not in response.content
    assert not Invitation.objects.exists()


def test_the_last_lead_stays(as_lead: Client, lead: User, project: Project) -> None:
    mine = project.memberships.get(user=lead)
    for path, form in (("remove/", {}), ("role/", {"role": "annotator"})):
        response = as_lead.post(f"/projects/roof-tiles/members/{mine.pk}/{path}", form, follow=True)
        assert "last lead" in response.content.decode()
    mine.refresh_from_db()
    assert mine.role == "lead"


def test_a_removed_member_loses_the_project_at_once(
    as_lead: Client, as_annotator: Client, annotator: User, project: Project
) -> None:
    assert as_annotator.get("/projects/roof-tiles/").status_code == 200
    theirs = project.memberships.get(user=annotator)

    as_lead.post(f"/projects/roof-tiles/members/{theirs.pk}/remove/")

    assert as_annotator.get("/projects/roof-tiles/").status_code == 404
    assert as_annotator.get("/api/v1/projects/roof-tiles").status_code == 404
    assert b"Roof tiles" not in as_annotator.get("/").content


def test_a_reviewer_may_judge_what_others_drew(
    as_lead: Client, as_annotator: Client, annotator: User, project: Project
) -> None:
    theirs = project.memberships.get(user=annotator)

    response = as_lead.post(
        f"/projects/roof-tiles/members/{theirs.pk}/role/", {"role": "reviewer"}, follow=True
    )

    assert "The role of anna is now reviewer" in response.content.decode()
    assert as_annotator.get("/projects/roof-tiles/members/").status_code == 403


def test_a_name_is_text_to_the_page(as_lead: Client, project: Project) -> None:
    form = {"role": "annotator", "life_days": "7", "name": "<script>alert(1)</script>"}
    page = as_lead.post("/projects/roof-tiles/members/", form).content

    assert b"<script>alert" not in page
