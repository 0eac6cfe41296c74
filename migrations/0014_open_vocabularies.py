from django.db import migrations


class Migration(migrations.Migration):
    """Kinds of job and export formats are known to their registries, no longer to the database."""

    dependencies = [("engine", "0013_close_ups")]

    operations = [
        migrations.RemoveConstraint(model_name="job", name="job_kind_known"),
        migrations.RemoveConstraint(model_name="export", name="export_format_known"),
    ]
