"""Make mask revisions and state changes append-only: triggers refuse UPDATE and DELETE."""

from django.db import migrations

TABLES = ("engine_maskrevision", "engine_statechange")
ACTIONS = ("update", "delete")


def statements(vendor):
    """Pairs of (create, drop) for one kind of database."""
    for table in TABLES:
        message = f"{table} is append-only"
        for action in ACTIONS:
            name = f"{table}_no_{action}"
            if vendor == "sqlite":
                yield (
                    f"CREATE TRIGGER {name} BEFORE {action.upper()} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{message}'); END",
                    f"DROP TRIGGER {name}",
                )
            else:
                yield (
                    f"CREATE TRIGGER {name} BEFORE {action.upper()} ON {table} "
                    "FOR EACH ROW EXECUTE FUNCTION engine_refuse_change()",
                    f"DROP TRIGGER {name} ON {table}",
                )


POSTGRESQL_FUNCTION = """
CREATE FUNCTION engine_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def create(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_FUNCTION, params=None)
    for create_trigger, _ in statements(vendor):
        schema_editor.execute(create_trigger, params=None)


def drop(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    for _, drop_trigger in statements(vendor):
        schema_editor.execute(drop_trigger, params=None)
    if vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION engine_refuse_change()", params=None)


class Migration(migrations.Migration):
    dependencies = [("engine", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
