"""LOUD: what a project says about spanreel in its pyproject.toml, under `[tool.spanreel]`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from spanreel.exceptions import BadInput


def settings(table: str) -> dict[str, Any]:
    """`[tool.spanreel.<table>]` of the nearest pyproject.toml above the working directory; empty where there is none.

    Raises:
        BadInput: the file cannot be read, or that is no table.
    """
    folder = Path.cwd()
    file = next((one for up in (folder, *folder.parents) if (one := up / "pyproject.toml").is_file()), None)
    if file is None:
        return {}
    try:
        found: Any = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read ({error})", "mend it") from error
    for key in ("tool", "spanreel", table):
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise BadInput(f"[tool.spanreel.{table}] in {file} is not a table", "mend it")
    return found
