"""`manage.py account NAME`: make an account, change its role, block it; prints a sign-in link."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.domain.roles import ACCOUNT_ROLES
from engine.domain.states import Role
from engine.models import User
from engine.services.people import users


class Command(BaseCommand):
    help = "Make an account if there is none, change its role, block or unblock it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=[role.value for role in ACCOUNT_ROLES])
        blocking = parser.add_mutually_exclusive_group()
        blocking.add_argument("--block", action="store_true", help="end every way in at once")
        blocking.add_argument("--unblock", action="store_true")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        username, role = options["username"], options["role"]
        try:
            user = User.objects.filter(username=username).first()
            if user is None:
                user = users.create_user(username, role=role or Role.ANNOTATOR.value)
            is_active = False if options["block"] else True if options["unblock"] else None
            users.change_account(user, role=role, is_active=is_active)
        except DomainError as error:
            raise CommandError(error.message) from None
        if not user.is_active:
            self.stdout.write(f"{user.username} is blocked")
            return
        token = users.issue_sign_in_token(user)
        self.stdout.write(f"{user.username} ({user.role})")
        self.stdout.write(f"{options['base_url'].rstrip('/')}/sign-in/{token}/")
