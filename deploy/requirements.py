"""Print the project's requirements, one a line, for the image builds.

Usage: python requirements.py [--without torch,scipy]
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", default="", help="comma-separated distribution names")
    without = {name.strip() for name in parser.parse_args().without.split(",") if name.strip()}
    here = Path(__file__).resolve().parent
    places = (here / "pyproject.toml", here.parent / "pyproject.toml")
    pyproject = next(path for path in places if path.exists())
    requirements = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    for requirement in requirements:
        if re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0] not in without:
            sys.stdout.write(requirement + "\n")


if __name__ == "__main__":
    main()
