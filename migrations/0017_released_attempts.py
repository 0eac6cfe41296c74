"""Rename how an attempt ended whose worker was stopped: "given back" is now "released".

Triggers close attempts once, so they are dropped for the time of the change.
"""

from importlib import import_module

from django.db import migrations, models

attempts = import_module("migrations.0008_append_only_attempts")

OTHERS = ["lost", "stalled", "timed out", "cancelled"]


def constraint(*outcomes):
    return models.CheckConstraint(
        condition=models.Q(ended_at__isnull=True, outcome="")
        | models.Q(ended_at__isnull=False, outcome__in=list(outcomes)),
        name="attempt_outcome_iff_ended",
    )


def rename(old, new):
    def run(apps, schema_editor):
        rows = apps.get_model("engine", "JobAttempt").objects.filter(outcome=old)
        rows.update(outcome=new)

    return run


class Migration(migrations.Migration):
    dependencies = [("engine", "0016_crop")]

    operations = [
        migrations.RunPython(attempts.drop, attempts.create),
        migrations.RemoveConstraint(model_name="jobattempt", name="attempt_outcome_iff_ended"),
        migrations.RunPython(rename("given back", "released"), rename("released", "given back")),
        migrations.AddConstraint(
            model_name="jobattempt",
            constraint=constraint("succeeded", "failed", "released", *OTHERS),
        ),
        migrations.RunPython(attempts.create, attempts.drop),
    ]
