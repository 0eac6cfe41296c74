"""Rename columns of a model version, and judged masks to reviewed ones in policies.

Drop `filters` of an export, which nothing ever wrote.
"""

from django.db import migrations, models


def rename_number(apps, *, old, new):
    EngineStage = apps.get_model("engine", "EngineStage")
    for stage in EngineStage.objects.filter(policy__has_key=old).iterator():
        stage.policy[new] = stage.policy.pop(old)
        stage.save(update_fields=["policy"])


def forwards(apps, schema_editor):
    rename_number(apps, old="min_judged_masks", new="min_reviewed_masks")


def backwards(apps, schema_editor):
    rename_number(apps, old="min_reviewed_masks", new="min_judged_masks")


class Migration(migrations.Migration):
    dependencies = [("engine", "0018_decoder_halves")]

    operations = [
        migrations.RenameField(model_name="modelversion", old_name="because", new_name="trigger"),
        migrations.RemoveConstraint(model_name="modelversion", name="model_trains_known"),
        migrations.RenameField(model_name="modelversion", old_name="trains", new_name="trainable"),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("trainable__in", ["decoder", "lora", "all"])),
                name="model_trainable_known",
            ),
        ),
        migrations.RunPython(forwards, backwards),
        migrations.RemoveField(model_name="export", name="filters"),
    ]
