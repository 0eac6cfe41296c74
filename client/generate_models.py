"""Write the client's models from the API's published form: `generate_models.py OPENAPI OUT`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OPTIONS = (
    *("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel"),
    *(
        "--target-python-version",
        "3.11",
        "--enum-field-as-literal",
        "all",
        "--formatters",
        "ruff-format",
    ),
    *(
        "--custom-file-header",
        '"""Generated from docs/openapi.json by `make contracts`; do not edit."""',
    ),
    "--use-standard-collections",
    "--use-union-operator",
    "--use-schema-description",
    "--use-annotated",
    "--use-double-quotes",
    "--collapse-root-models",
    "--disable-timestamp",
)


def main(openapi: Path, out: Path) -> int:
    """Generate the models and format them as the rest of the code is."""
    tools = Path(sys.executable).parent
    command = [str(tools / "datamodel-codegen"), "--input", str(openapi), "--output", str(out)]
    subprocess.run([*command, *OPTIONS], check=True)
    for step in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([str(tools / "ruff"), *step, str(out)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
