"""`manage.py roll_back PROJECT`: let the version serve again that served before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.domain.states import ModelFamily
from engine.selectors.named import project_named, user_named
from engine.services.models import model_versions


class Command(BaseCommand):
    help = "Let the model version serve again that served before."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="its slug, as in its address")
        parser.add_argument("--user", help="the lead who acts; default: who made the project")
        parser.add_argument(
            "--family", choices=[one.value for one in ModelFamily], default=ModelFamily.SAM.value
        )
        parser.add_argument("--reason", default="", help="why, for the history")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_named(options["project"])
            user = user_named(options["user"]) if options["user"] else project.created_by
            version = model_versions.roll_back(
                project, family=options["family"], actor=user, reason=options["reason"]
            )
        except DomainError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{version.family} v{version.number} serves again")
