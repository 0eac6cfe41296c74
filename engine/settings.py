"""Django settings, read from the environment only. Nothing product-specific lives here."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}")


def envlist(name: str, default: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def secret_key(data_dir: Path) -> str:
    """From SEGLOOP_SECRET_KEY, else a key made at first start and kept in a 0600 file."""
    if key := os.environ.get("SEGLOOP_SECRET_KEY"):
        if len(key) < 32:
            raise ImproperlyConfigured("SEGLOOP_SECRET_KEY must have at least 32 characters")
        return key
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process of the same start was faster
            return path.read_text()
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text()


def database(url: str, data_dir: Path) -> dict[str, Any]:
    """SQLite (WAL, IMMEDIATE, synchronous=FULL) by default, PostgreSQL by DATABASE_URL."""
    if not url:
        data_dir.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{data_dir / 'segloop.sqlite3'}"
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path[1:]),
            "OPTIONS": {
                # DEFERRED transactions fail at once on a write upgrade, whatever the timeout.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": (
                    "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
                    "PRAGMA busy_timeout=20000;PRAGMA foreign_keys=ON;"
                ),
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,  # after a restart of the server, a new connection
        }
    raise ImproperlyConfigured(f"DATABASE_URL must start with sqlite:// or postgresql://: {url!r}")


DATA_DIR = Path(os.environ.get("SEGLOOP_DATA_DIR", BASE_DIR / "var")).resolve()
DEBUG = envbool("SEGLOOP_DEBUG", False)
SECRET_KEY = secret_key(DATA_DIR)
ALLOWED_HOSTS = envlist("SEGLOOP_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = envlist("SEGLOOP_TRUSTED_ORIGINS", "")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_vite",
    "ninja",
    "engine",
    "annotator_ui",
    "workers",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "annotator_ui.http.middleware.SecurityHeadersMiddleware",
    "annotator_ui.http.middleware.ApiErrorMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "annotator_ui.urls"
WSGI_APPLICATION = "annotator_ui.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": database(os.environ.get("DATABASE_URL", ""), DATA_DIR)}
MIGRATION_MODULES = {"engine": "migrations"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "engine.User"
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_SAMESITE = "Lax"
# Behind a proxy that sets X-Forwarded-For: without it every visitor would share one address.
BEHIND_PROXY = envbool("SEGLOOP_BEHIND_PROXY", False)
if envbool("SEGLOOP_HTTPS", False):  # people come by https: keep cookies and visits on it
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 365 * 86_400
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
CSRF_FAILURE_VIEW = "annotator_ui.http.error_pages.csrf_failure"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
UI_DIST_DIR = BASE_DIR / "annotator_ui" / "frontend" / "dist"
STATICFILES_DIRS = [("ui", UI_DIST_DIR)] if UI_DIST_DIR.exists() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Not the manifest storage: Vite has hashed the names already.
    "staticfiles": {"BACKEND": "annotator_ui.http.static_storage.StaticStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/ui/assets/"  # Vite puts a hash into these names
DJANGO_VITE = {
    "default": {
        "dev_mode": False,
        "static_url_prefix": "ui",
        "manifest_path": UI_DIST_DIR / "manifest.json",
    }
}

# Unset, the embedded runner polls the Job table; set, Celery workers are notified of new jobs.
REDIS_URL = os.environ.get("REDIS_URL", "")
# Dotted path of a function (job_id, queue), called after commit. Empty: the runner polls.
ENGINE_JOB_DISPATCHER = os.environ.get(
    "SEGLOOP_JOB_DISPATCHER", "workers.celery.notify.notify_of_job" if REDIS_URL else ""
)
# The shipped model that a new project starts from.
STARTER_DIR = Path(os.environ.get("SEGLOOP_STARTER_DIR", BASE_DIR / "sam" / "starter"))

MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_ARCHIVE_BYTES = 4 * 1024**3  # a dataset as one zip, uploaded on a page
MAX_UNPACKED_BYTES = 50 * 1024**3  # what an archive may hold once it is inflated
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # JSON bodies; a 60-megapixel RLE is far below

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
