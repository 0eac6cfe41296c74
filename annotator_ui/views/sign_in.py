"""Signing in and out: a password form, and links that work once."""

from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from engine.domain.errors import DomainError
from engine.services import users

BACKEND = "django.contrib.auth.backends.ModelBackend"

sign_in = LoginView.as_view(
    template_name="annotator_ui/sign_in.html", redirect_authenticated_user=True
)
sign_out = LogoutView.as_view(next_page="/sign-in/")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button on GET, so that a link scanner cannot use the link up; redeem on POST."""
    template = "annotator_ui/sign_in_link.html"
    if request.method != "POST":
        return render(request, template)
    try:
        user = users.redeem_sign_in_token(token)
    except DomainError as error:
        return render(request, template, {"error": error.message}, status=403)
    login(request, user, backend=BACKEND)
    return redirect("/")
