"""`manage.py sign_in_link USERNAME`: a link that signs a person in once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.models import User
from engine.services.people import users


class Command(BaseCommand):
    help = "Print a link that signs the user in once, within a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"there is no active user {options['username']!r}")
        token = users.issue_sign_in_token(user)
        self.stdout.write(f"{options['base_url'].rstrip('/')}/sign-in/{token}/")
