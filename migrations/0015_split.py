"""Rename the column `side` of an image to `split`."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0014_open_vocabularies")]

    operations = [
        migrations.RemoveConstraint(model_name="image", name="image_side_known"),
        migrations.RenameField(model_name="image", old_name="side", new_name="split"),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.CheckConstraint(
                condition=models.Q(("split__in", ["", "train", "holdout"])),
                name="image_split_known",
            ),
        ),
    ]
