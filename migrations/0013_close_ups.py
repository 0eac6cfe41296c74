from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0012_model_thresholds")]

    operations = [
        migrations.AddField(
            model_name="embedding",
            name="close_up",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.RemoveConstraint(model_name="embedding", name="embedding_once_per_encoder"),
        migrations.AddConstraint(
            model_name="embedding",
            constraint=models.UniqueConstraint(
                fields=("image", "encoder_sha256", "close_up"), name="embedding_once_per_close_up"
            ),
        ),
    ]
