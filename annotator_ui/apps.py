"""App configuration of annotator_ui."""

from django.apps import AppConfig


class AnnotatorUiConfig(AppConfig):
    name = "annotator_ui"
    default_auto_field = "django.db.models.BigAutoField"
