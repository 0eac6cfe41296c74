"""Who has an account today keeps seeing every project: leads and admins lead, others annotate."""

from uuid import uuid4

from django.db import migrations


def join(apps, schema_editor):
    User = apps.get_model("engine", "User")
    Project = apps.get_model("engine", "Project")
    Membership = apps.get_model("engine", "Membership")
    using = schema_editor.connection.alias
    people = list(User.objects.using(using).order_by("created_at"))
    for project in Project.objects.using(using):
        Membership.objects.using(using).bulk_create(
            Membership(
                id=uuid4(),
                project=project,
                user=person,
                role="lead" if person.role in ("lead", "admin") else "annotator",
            )
            for person in people
        )


class Migration(migrations.Migration):
    dependencies = [("engine", "0003_membership")]

    operations = [migrations.RunPython(join, migrations.RunPython.noop)]
