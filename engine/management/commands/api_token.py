"""`manage.py api_token NAME`: make a token for somebody's scripts; prints it this once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.domain.roles import Scope
from engine.domain.sign_in import TOKEN_LIFE_DAYS
from engine.models import User
from engine.services.people import api_tokens


class Command(BaseCommand):
    help = "Print a new token for the API; only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="made on the command line")
        parser.add_argument(
            "--scope", default=Scope.READ.value, choices=[one.value for one in Scope]
        )
        parser.add_argument("--days", type=int, default=TOKEN_LIFE_DAYS)

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active user {options['username']!r}")
        try:
            _, secret = api_tokens.create_token(
                user, name=options["name"], scope=options["scope"], life_days=options["days"]
            )
        except DomainError as error:
            raise CommandError(error.message) from None
        self.stdout.write(secret)
