"""The web process under test: the product's own, with the mutation of this run."""

from annotator_ui.wsgi import application
from tests.faults import mutations

mutations.apply()

__all__ = ["application"]
