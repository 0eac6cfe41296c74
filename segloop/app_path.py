"""Where the product's packages and an installation's data are.

Stays free of imports beyond the standard library: it runs before anything else is importable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

_HERE = Path(__file__).resolve().parent
DATA_DIR_VARIABLE = "SEGLOOP_DATA_DIR"


def is_installed() -> bool:
    """Return whether this is a wheel's copy; False in a checkout."""
    return (_HERE / "_app").is_dir()


def app_dir() -> Path:
    """Return the folder that holds `engine`, `sam`, ... and manage.py."""
    return _HERE / "_app" if is_installed() else _HERE.parent


def default_data_dir(environ: MutableMapping[str, str]) -> Path:
    """Return where an installation keeps its data unless SEGLOOP_DATA_DIR names a folder.

    In a checkout that is `var/` of the checkout, else `segloop` in the user's folder for data
    (XDG_DATA_HOME, usually ~/.local/share).
    """
    if not is_installed():
        return app_dir() / "var"
    home = environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return Path(home) / "segloop"


def activate(environ: MutableMapping[str, str] = os.environ) -> None:
    """Make the product's packages importable here and in every child process.

    Sets `sys.path`, and in the environment PYTHONPATH, DJANGO_SETTINGS_MODULE and, where it is
    missing, SEGLOOP_DATA_DIR. Calling it twice changes nothing.
    """
    folder = str(app_dir())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    inherited = [part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if folder not in inherited:
        environ["PYTHONPATH"] = os.pathsep.join([folder, *inherited])
    environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")
    environ.setdefault(DATA_DIR_VARIABLE, str(default_data_dir(environ)))
