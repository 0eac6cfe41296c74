"""The Celery application under test: the product's own, with the countable job."""

from celery.signals import worker_init

from workers.celery.app import app


@worker_init.connect
def _install(**_: object) -> None:
    import django

    django.setup()
    from tests.faults.worker_setup import install

    install()


__all__ = ["app"]
