"""`manage.py retrain PROJECT`: queue a training now, as the button does; a runner does the work."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.domain.schedule import RoundSize
from engine.domain.states import ModelFamily
from engine.selectors.named import project_named, user_named
from engine.services.models import model_versions


class Command(BaseCommand):
    help = "Queue a training on what is labelled now; it serves if it passes the gate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="its slug, as in its address")
        parser.add_argument("--user", help="the lead who asks; default: who made the project")
        parser.add_argument(
            "--family", choices=[one.value for one in ModelFamily], default=ModelFamily.SAM.value
        )
        parser.add_argument(
            "--trainable",
            choices=[one.value for one in RoundSize],
            help="how much of a SAM learns; default: what the stage's numbers say",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_named(options["project"])
            user = user_named(options["user"]) if options["user"] else project.created_by
            trainable = RoundSize(options["trainable"]) if options["trainable"] else None
            version, job = model_versions.request_retrain(
                project, family=options["family"], actor=user, trainable=trainable
            )
        except DomainError as error:
            raise CommandError(error.message) from None
        self.stdout.write(
            f"{version.family} v{version.number} ({version.trainable}) is queued: job {job.pk}"
        )
