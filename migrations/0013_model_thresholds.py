from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0009_instructions_and_job_kinds")]

    operations = [
        migrations.AddField(
            model_name="modelversion", name="thresholds", field=models.JSONField(default=dict)
        )
    ]
