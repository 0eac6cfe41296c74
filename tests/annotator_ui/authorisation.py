"""The little world that every cell of authorisation.toml is tried in, and who the callers are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, get_resolver

from annotator_ui.api import api
from annotator_ui.http.addresses import API_BASE
from engine import storage
from engine.domain.states import ExportStatus, Role
from engine.models import Export, Image, Mask, Project, User
from engine.services.datasets import imports
from engine.services.images import embeddings
from engine.services.masks import assignments
from engine.services.people import api_tokens, invitations
from tests import factories
from tests.annotator_ui.conftest import image_bytes, mask_body, save_mask
from tests.engine import archives

NEW_PASSWORD = "another long phrase"
NOBODY = "nothing-has-this-secret"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    of: str  # "own" or ""

    @classmethod
    def parse(cls, text: str) -> Route:
        """Read "POST /path/{name}/ # own"."""
        route, _, of = text.partition(" # ")
        method, _, path = route.partition(" ")
        return cls(method, path.strip(), of.strip())

    @property
    def is_api(self) -> bool:
        return self.path.startswith(API_BASE)


def page_paths() -> set[str]:
    """Every page of the product, as the table writes them."""
    patterns = [one for one in get_resolver().url_patterns if isinstance(one, URLPattern)]
    return {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(one.pattern)) for one in patterns}


def api_routes() -> set[tuple[str, str]]:
    """Every operation of the API, as the table writes them."""
    found = {("GET", f"{API_BASE}/{name}") for name in ("", "docs", "openapi.json")}
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            plain = re.sub(r"{\w+:(\w+)}", r"{\1}", f"{API_BASE}{prefix}{path}")
            found |= {(method, plain) for one in view.operations for method in one.methods}
    return found


@dataclass
class World:
    project: Project
    elsewhere: Project
    people: Mapping[str, User]
    others_mask: Mask
    free_image: Image
    names: dict[str, str]

    def user_of(self, caller: str) -> User | None:
        """The person behind a column; tokens are the lead's."""
        return self.people.get("lead" if caller.startswith("token") else caller)

    def client_of(self, caller: str) -> Client:
        if caller.startswith("token"):
            return Client(headers={"authorization": f"Bearer {self._secret(caller)}"})
        client = Client()
        if caller in self.people:
            client.force_login(self.people[caller])
        return client

    def _secret(self, caller: str) -> str:
        scope = caller.removeprefix("token_")
        token, secret = api_tokens.create_token(
            self.people["lead"],
            name=caller,
            scope=scope if scope in ("read", "label", "lead") else "lead",
            project=self.elsewhere if scope == "elsewhere" else None,
        )
        if scope == "revoked":
            api_tokens.revoke_token(token, actor=self.people["lead"])
        return secret

    def address(self, route: Route, caller: str) -> str:
        names = dict(self.names)
        user = self.user_of(caller)
        if route.of == "own":
            names |= dict(self._own(route, user))
        return route.path.format(**names)

    def _own(self, route: Route, user: User | None) -> Iterator[tuple[str, str]]:
        """What belongs to the caller, where they may have it at all."""
        if route.path.startswith("/join/"):
            _, secret = invitations.invite(
                self.project, role="annotator", actor=self.people["lead"]
            )
            yield "token", secret
        if user is None:
            return
        if "{token_id}" in route.path:
            token, _ = api_tokens.create_token(user, name="mine", scope="read")
            yield "token_id", str(token.pk)
        is_member = user != self.people["outsider"]
        if is_member and ("{assignment_id}" in route.path or "{mask_id}" in route.path):
            assignment = assignments.lease_image(self.free_image, annotator=user)
            yield "assignment_id", str(assignment.pk)
            yield "mask_id", str(save_mask(assignment).mask.pk)

    def body(self, route: Route) -> Any:
        """A body that a lead's request would succeed with, or None."""
        version_id = self.names["version_id"]
        prompt = {"type": "point", "x_px": 3, "y_px": 3, "label": 1}
        return {
            "POST /sign-in/": {"username": "lead", "password": "wrong"},
            "POST /account/password/": {
                "new": "another long phrase",
                "new_again": "another long phrase",
            },
            "POST /account/tokens/": {"name": "t", "scope": "read", "life_days": "5"},
            "POST /": {"name": "New"},
            "POST /projects/{slug}/retrain/": {"family": "sam"},
            "POST /projects/{slug}/policy/": {"lease_s": "60"},
            "POST /projects/{slug}/roll-back/": {"family": "sam"},
            "POST /projects/{slug}/advance/": {"reason": "because"},
            "POST /projects/{slug}/back/": {"reason": "because"},
            "POST /projects/{slug}/promote/": {"model_version_id": version_id},
            "POST /projects/{slug}/export/": {"format": "coco"},
            "POST /projects/{slug}/members/": {"role": "reviewer", "life_days": "3"},
            "POST /projects/{slug}/members/{membership_id}/role/": {"role": "reviewer"},
            "POST /api/v1/projects": {"name": "New"},
            "POST /api/v1/projects/{slug}/advance": {"reason": "because"},
            "POST /api/v1/projects/{slug}/back": {"reason": "because"},
            "PATCH /api/v1/projects/{slug}/policy": {"changes": {"lease_s": 60}},
            "POST /api/v1/projects/{slug}/roll-back": {"family": "sam"},
            "POST /api/v1/projects/{slug}/retrain": {"family": "sam"},
            "POST /api/v1/projects/{slug}/promote": {"model_version_id": version_id},
            "POST /api/v1/projects/{slug}/exports": {"format": "coco"},
            "POST /api/v1/assignments/{assignment_id}/skip": {"reason": "blurred"},
            "POST /api/v1/assignments/{assignment_id}/masks": mask_body(),
            "POST /api/v1/assignments/{assignment_id}/operations": {
                "operations": [{"type": "save", **mask_body()}]
            },
            "POST /api/v1/images/{image_id}/decode": {
                "model_version_id": version_id,
                "encoder_sha256": self.names["encoder"],
                "prompts": [prompt],
            },
            "POST /api/v1/projects/{slug}/imports": {
                "file": SimpleUploadedFile("a.zip", archives.zip_of({"b.png": b"x"}))
            },
            "POST /api/v1/projects/{slug}/images": {
                "file": SimpleUploadedFile("new.jpg", image_bytes(99), "image/jpeg")
            },
        }.get(f"{route.method} {route.path}")


def make_world() -> World:
    lead = factories.make_outsider("lead", role=Role.LEAD)
    project = factories.make_project("Roof tiles", lead=lead)
    people = {"lead": lead, "admin": factories.make_outsider("admin", role=Role.ADMIN)}
    for role in (Role.ANNOTATOR, Role.REVIEWER):
        people[role] = factories.make_outsider(role.value)
        factories.join(project, people[role], role)
    people["outsider"] = factories.make_outsider("outsider")
    other = factories.make_outsider("otto")
    factories.join(project, other)
    photos = [factories.make_image(project, width_px=64, height_px=48) for _ in range(3)]
    assignment = assignments.lease_image(photos[0], annotator=other)
    job = embeddings.request_embedding(photos[0])
    assert job is not None
    version = project.model_versions.get(family="sam")
    key = storage.put_bytes("exports", b"PK", ".zip")
    export = Export.objects.create(
        project=project,
        format="coco",
        status=ExportStatus.READY.value,
        storage_key=key,
        sha256=storage.sha256_of(key),
    )
    invitation, _ = invitations.invite(project, role="annotator", actor=lead)
    archive = Path(settings.DATA_DIR) / "a.zip"
    archive.write_bytes(archives.zip_of({"a.png": b"x"}))
    import_ = imports.request_archive_import(project, path=archive, name="a.zip", actor=lead)
    token, _ = api_tokens.create_token(other, name="others", scope="read")
    mask = save_mask(assignment).mask
    names = {
        "slug": project.slug,
        "token": NOBODY,
        "token_id": str(token.pk),
        "membership_id": str(project.memberships.get(user=other).pk),
        "invitation_id": str(invitation.pk),
        "job_id": str(job.pk),
        "version_id": str(version.pk),
        "encoder": version.encoder_sha256,
        "image_id": str(photos[0].pk),
        "assignment_id": str(assignment.pk),
        "mask_id": str(mask.pk),
        "export_id": str(export.pk),
        "import_id": str(import_.pk),
    }
    elsewhere = factories.projects.create_project("Elsewhere", actor=lead)
    return World(project, elsewhere, people, mask, photos[1], names)
