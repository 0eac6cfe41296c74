"""Template tags for the scripts that the front end's build makes."""

from __future__ import annotations

from django import template
from django_vite.core.exceptions import DjangoViteAssetNotFoundError
from django_vite.templatetags.django_vite import vite_asset

from annotator_ui.front_end import is_built

register = template.Library()


@register.simple_tag
def page_script(entry: str) -> str:
    """Include the script of a page that works without it.

    Args:
        entry: path of an entry point below annotator_ui/frontend, as in vite.config.ts.

    Returns:
        The script's tags; nothing before the front end is built.
    """
    if not is_built(entry):
        return ""
    try:
        return str(vite_asset(entry))
    except DjangoViteAssetNotFoundError:  # built after this process read the manifest
        return ""
