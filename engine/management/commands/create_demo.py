"""`manage.py create_demo`: a project of sample photos and a lead to label them. Repeatable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.domain.states import Role
from engine.models import Project, User
from engine.selectors.models import missing_parts
from engine.services.images import images
from engine.services.models import starters
from engine.services.people import users
from engine.services.projects import projects

SAMPLES_DIR = Path(__file__).resolve().parents[2] / "samples"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
USERNAME = "demo"
PROJECT_NAME = "Demo photos"


class Command(BaseCommand):
    help = "Make the demo project (sample photos, a lead called demo) and print a sign-in link."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = demo_user()
            project = demo_project(user)
            import_samples(project, actor=user)
        except DomainError as error:
            raise CommandError(error.message) from None
        for sentence in missing_parts(project):
            self.stderr.write(sentence)
        token = users.issue_sign_in_token(user)
        link = f"{options['base_url'].rstrip('/')}/sign-in/{token}/"
        self.stdout.write(f"Open {link} (works once, for a day)")


def demo_user() -> User:
    """Return the demo's lead, made at the first call."""
    known = User.objects.filter(username=USERNAME).first()
    return known or users.create_user(USERNAME, role=Role.LEAD.value)


def demo_project(user: User) -> Project:
    """Return the demo project, made at the first call; starter models that came later join it."""
    known = Project.objects.filter(name=PROJECT_NAME, created_by=user).first()
    if known is None:
        return projects.create_project(PROJECT_NAME, actor=user)
    starters.register_starters(known)
    return known


def import_samples(project: Project, *, actor: User) -> None:
    """Take in every sample photo the project does not have; their embeddings are queued."""
    paths = sorted(path for path in SAMPLES_DIR.iterdir() if path.suffix.lower() in SUFFIXES)
    for path in paths:
        images.ingest_image(project, data=path.read_bytes(), file_name=path.name, actor=actor)
