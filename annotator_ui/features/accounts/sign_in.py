"""Signing in and out: a password form that slows guessing down, and links that work once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from engine.domain.errors import DomainError
from engine.services.people import sign_in as attempts
from engine.services.people import users
from engine.services.people.sign_in import TooManyTries

BACKEND = "django.contrib.auth.backends.ModelBackend"


def address_of(request: HttpRequest) -> str:
    """Where a request comes from. Behind a proxy of ours, the last hop that it wrote down."""
    hops = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    return hops.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


class SignIn(LoginView):
    template_name = "annotator_ui/accounts/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        username, address = request.POST.get("username", ""), address_of(request)
        try:
            attempts.begin_attempt(username, address=address)
        except TooManyTries as refused:
            form = self.form_class(request)  # unbound: the password is not looked at
            context = self.get_context_data(form=form, refused=refused.message, name=username)
            response = self.render_to_response(context, status=429)
            response.headers["Retry-After"] = str(refused.retry_after_s)
            return response
        form = self.get_form()
        if not form.is_valid():
            return self.form_invalid(form)
        attempts.succeeded(username, address=address)
        return self.form_valid(form)


sign_in = SignIn.as_view()
sign_out = LogoutView.as_view(next_page="/sign-in/")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button on GET, so that a link scanner cannot use the link up; redeem on POST."""
    template = "annotator_ui/accounts/sign_in_link.html"
    if request.method != "POST":
        return render(request, template)
    try:
        user = users.redeem_sign_in_token(token)
    except DomainError as error:
        return render(request, template, {"error": error.message}, status=403)
    login(request, user, backend=BACKEND)
    return redirect("/")
