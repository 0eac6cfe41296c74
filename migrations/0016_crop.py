"""Rename close-ups to crops: a column, an argument of jobs and a key of stored measurements."""

from django.db import migrations, models


def rename_keys(apps, *, old_argument, new_argument):
    """Rename the argument of jobs and, alike, the key under which measurements name their file."""
    Job = apps.get_model("engine", "Job")
    for job in Job.objects.filter(args__has_key=old_argument).iterator():
        job.args[new_argument] = job.args.pop(old_argument)
        job.save(update_fields=["args"])
    Evaluation = apps.get_model("engine", "Evaluation")
    old_key = f"{old_argument}_scores_key"
    for evaluation in Evaluation.objects.filter(metrics__has_key=old_key).iterator():
        evaluation.metrics[f"{new_argument}_scores_key"] = evaluation.metrics.pop(old_key)
        evaluation.save(update_fields=["metrics"])


def forwards(apps, schema_editor):
    rename_keys(apps, old_argument="close_up", new_argument="crop")


def backwards(apps, schema_editor):
    rename_keys(apps, old_argument="crop", new_argument="close_up")


class Migration(migrations.Migration):
    dependencies = [("engine", "0015_split")]

    operations = [
        migrations.RemoveConstraint(model_name="embedding", name="embedding_once_per_close_up"),
        migrations.RenameField(model_name="embedding", old_name="close_up", new_name="crop"),
        migrations.AddConstraint(
            model_name="embedding",
            constraint=models.UniqueConstraint(
                fields=("image", "encoder_sha256", "crop"), name="embedding_once_per_crop"
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
