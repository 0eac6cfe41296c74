"""Close job attempts once, by triggers; and make those of the history again.

SQLite alters a table by making another and dropping the first, its triggers with it: after
constraints were added to mask revisions, their triggers have to come back.
"""

from importlib import import_module

from django.db import migrations

history = import_module("migrations.0002_append_only_history")

MESSAGE = "engine_jobattempt is closed once"
CHANGED = " OR ".join(
    f"NEW.{column} <> OLD.{column}" for column in ("job_id", "fence", "worker", "pid", "started_at")
)
NOT_A_CLOSING = f"OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL OR {CHANGED}"

POSTGRESQL_FUNCTION = f"""
CREATE FUNCTION engine_close_attempt_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {NOT_A_CLOSING} THEN
        RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_FUNCTION, params=None)
        schema_editor.execute(
            "CREATE TRIGGER engine_jobattempt_closed_once BEFORE UPDATE ON engine_jobattempt "
            "FOR EACH ROW EXECUTE FUNCTION engine_close_attempt_once()",
            params=None,
        )
        return
    schema_editor.execute(
        "CREATE TRIGGER engine_jobattempt_closed_once BEFORE UPDATE ON engine_jobattempt "
        f"WHEN {NOT_A_CLOSING} BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END",
        params=None,
    )
    for create_trigger, _ in history.statements("sqlite"):
        schema_editor.execute(
            create_trigger.replace("CREATE TRIGGER", "CREATE TRIGGER IF NOT EXISTS"), params=None
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "DROP TRIGGER engine_jobattempt_closed_once ON engine_jobattempt", params=None
        )
        schema_editor.execute("DROP FUNCTION engine_close_attempt_once()", params=None)
    else:
        schema_editor.execute("DROP TRIGGER engine_jobattempt_closed_once", params=None)


class Migration(migrations.Migration):
    dependencies = [("engine", "0007_constraints")]

    operations = [migrations.RunPython(create, drop)]
