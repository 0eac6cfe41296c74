"""The container files cannot be built here; what they say can be checked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from engine.domain.jobs import QUEUES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_compose_file_names_files_and_services_that_exist() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "redis", "web", *(f"worker-{queue}" for queue in QUEUES)}
    for service in services.values():
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        assert set(service.get("depends_on", {})) <= set(services)


def test_redis_evicts_nothing_and_keeps_its_file() -> None:
    command = " ".join(COMPOSE["services"]["redis"]["command"])

    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes --appendfsync everysec" in command


def test_every_lane_has_a_worker_kept_alive() -> None:
    usual = re.search(r"^CMD (.+)$", (DEPLOY / "Dockerfile.worker").read_text(), re.M)
    assert usual is not None

    for queue in QUEUES:
        command = COMPOSE["services"][f"worker-{queue}"].get("command", json.loads(usual[1]))
        assert command == ["python", "manage.py", "runner", "--celery", "--queues", queue]


def test_the_web_image_installs_no_torch_and_everything_else_the_web_process_imports() -> None:
    without = re.search(r"--without (\S+)", (DEPLOY / "Dockerfile.web").read_text())
    assert without is not None
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "requirements.py"), "--without", without[1]],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {re.split(r"[\[<>=]", line)[0] for line in done.stdout.split()}

    assert "torch" not in names
    assert {"django", "django-ninja", "gunicorn", "onnxruntime", "psycopg2-binary"} <= names


def test_no_secret_gets_into_an_image() -> None:
    for ignored in DEPLOY.glob("*.dockerignore"):
        assert "**/.env" in ignored.read_text().splitlines()


def test_every_setting_of_the_environment_is_in_the_example() -> None:
    example = (DEPLOY / "env.example").read_text()
    read = set()
    for source in [ROOT / "engine/settings.py", ROOT / "workers/config.py", *DEPLOY.glob("*.py")]:
        read |= set(re.findall(r'"(SEGLOOP_[A-Z_]+|DATABASE_URL|REDIS_URL)"', source.read_text()))
    internal = {"SEGLOOP_JOB_DISPATCHER", "SEGLOOP_STARTER_DIR"}

    missing = {name for name in read - internal if not re.search(rf"^{name}=", example, re.M)}
    assert missing == set()
