"""`--param name=value`, `--input name=value` and `--inputs @file`: values of playbooks and tasks, from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body


def values(given: Sequence[str], option: str, body: Body | None = None) -> dict[str, Any]:
    """Values by name: JSON where it is JSON, else text; a text for a parameter that is one.

    Args:
        given: each ``name=value``; ``name=@file`` reads the value out of a file.
        option: as it is called, for the error.
        body: whose parameters they are.

    Raises:
        Usage: one of them is not like that.
    """
    from spanreel.cli.overrides import Usage

    found: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise Usage(f"{option} {one} says nothing", f"write {option} name=value")
        param = body.params.get(name) if body is not None else None
        text = _of_file(text, option)
        found[name] = text if param is not None and param.type == "string" else _value(text)
    return found


def inputs(given: Sequence[str] | None, whole: str | None) -> Any:
    """The inputs of a task: those of `--inputs` (JSON, or a text), and each `--input` over them; None without any.

    Raises:
        Usage: they cannot be read.
    """
    from spanreel.cli.overrides import Usage

    base: Any = None
    if whole is not None:
        base = _value(_of_file(whole, "--inputs"))
    if not given:
        return base
    if base is not None and not isinstance(base, dict):
        raise Usage("--inputs is no object, so --input has nothing to go into", "give one of the two")
    return {**(base or {}), **values(given, "--input")}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _of_file(text: str, option: str) -> str:
    if not text.startswith("@"):
        return text
    from pathlib import Path

    from spanreel.cli.overrides import Usage

    try:
        return Path(text[1:]).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise Usage(f"{option}: {text[1:]} cannot be read ({error})", "name another file") from None
