"""`manage.py stage PROJECT`: how the stage stands; advance, go back, or change its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.criteria import Verdict
from engine.domain.errors import Conflict, DomainError, InvalidInput
from engine.domain.states import ModelFamily
from engine.models import Project, User
from engine.selectors.criteria import evaluate_stage
from engine.selectors.named import project_named, user_named
from engine.selectors.retraining import plan_for
from engine.selectors.stages import active_stage, stage_policy
from engine.services.projects import policies, stages

MARKS = {Verdict.MET: "+", Verdict.NOT_MET: "-", Verdict.UNKNOWN: "?"}


class Command(BaseCommand):
    help = "Show how a project's stage stands, move it, or change its numbers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="its slug, as in its address")
        parser.add_argument("--user", help="the lead who acts; default: who made the project")
        parser.add_argument("--reason", default="", help="why; asked for when targets are missed")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--advance", action="store_true", help="leave for the next stage")
        what.add_argument("--back", action="store_true", help="return to the stage before")
        what.add_argument(
            "--set", nargs="+", metavar="NAME=NUMBER", help="change numbers of the stage"
        )
        what.add_argument("--numbers", action="store_true", help="print all numbers of the stage")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = project_named(options["project"])
            user = user_named(options["user"]) if options["user"] else project.created_by
            self._act(project, user=user, options=options)
            self._show(project)
        except DomainError as error:
            raise CommandError(error.message) from None

    def _act(self, project: Project, *, user: User, options: dict[str, Any]) -> None:
        reason = options["reason"]
        if options["advance"]:
            stages.advance_stage(project, actor=user, reason=reason)
        elif options["back"]:
            stages.go_back(project, actor=user, reason=reason)
        elif options["set"]:
            changes = changes_of(options["set"])
            policies.change_policy(project, changes=changes, actor=user, reason=reason)
        elif options["numbers"]:
            stage = active_stage(project)
            numbers = stage_policy(stage).to_json() if stage else {}
            for name, value in numbers.items():
                self.stdout.write(f"{name}={value:g}")

    def _show(self, project: Project) -> None:
        stage = active_stage(project)
        if stage is None:
            raise Conflict("this project has no open stage")
        found = evaluate_stage(stage)
        self.stdout.write(f"{stage.kind}, {stage.status}")
        for one in found.criteria:
            missing = one.missing or one.title.lower()
            self.stdout.write(f"  {MARKS[one.verdict]} {missing}")
        advised = found.recommendation
        self.stdout.write(f"recommended: {advised.action} ({'; '.join(advised.reasons)})")
        for family in ModelFamily:
            plan = plan_for(project, family=family)
            self.stdout.write(f"{family}: {plan.state}, {plan.message}")


def changes_of(words: Sequence[str]) -> dict[str, str]:
    """Read NAME=NUMBER; what the numbers may be is the policy's to say."""
    changes = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidInput(f"{word!r} is not NAME=NUMBER")
        changes[name.strip()] = value.strip()
    return changes
