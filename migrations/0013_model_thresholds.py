from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0011_retraining_rounds")]

    operations = [
        migrations.AddField(
            model_name="modelversion", name="thresholds", field=models.JSONField(default=dict)
        )
    ]
