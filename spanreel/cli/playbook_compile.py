"""The verb that makes a playbook of recorded runs: compile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import draw, note, say_json
from spanreel.exceptions import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.replay.playbooks.body import Body


def compile_(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs of one kind of task: id, prefix, alias, last, last~1, or FILE#run.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Of the playbook.", show_default=False)],
    goal: Annotated[
        str | None,
        typer.Option(help="What it is for; default: the task of a run.", show_default=False),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Use runs that did not succeed, too.")
    ] = False,
    read: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="This tool only reads, whatever the runs say.", show_default=False),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="This tool changes something.", show_default=False),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="For which tasks: agent=NAME, goal=WORD, tools=NAME, or a path in the input.",
            show_default=False,
        ),
    ] = None,
    success: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="What holds at its end: PATH=VALUE of the output, or a condition as JSON.",
            show_default=False,
        ),
    ] = None,
    risk: Annotated[
        str | None, typer.Option(metavar="low|medium|high", help="Default: medium.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write it to this file too; .json writes JSON, any other YAML.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Make a playbook of what recorded runs have in common, and keep it as a candidate.

    What the runs changed is kept; what they looked up, where a value comes from it or a guard needs it. Each value is
    bound to where it came from in every run: the input, an earlier result, a constant; what varies is a parameter. The
    playbook is walked over its own runs first: where it would not do exactly what they did, it is refused.

    The same runs make the same playbook: nothing is added then. Exit code 1: the runs make none; it says why.

    Examples:
        spanreel playbook compile last last~1 last~2 --name exchange-item
        spanreel playbook compile 4f2a91c3 --name refund --read get_order
        spanreel playbook compile runs.jsonl#last --name refund --out r.yaml
    """
    from spanreel.replay.load import replay_of
    from spanreel.replay.playbooks.compiling import compile_runs
    from spanreel.replay.playbooks.governance.library import Library

    matchers = _matchers(match or ())
    compiled = compile_runs(
        [replay_of(run, store) for run in runs],
        name,
        goal=goal,
        allow_partial=allow_partial,
        reads=read or (),
        writes=write or (),
        matchers=matchers,
        success=[_condition(one) for one in success or ()],
        risk=_risk(risk),
    )
    entry = Library(store).add(compiled.body, report=compiled.report.model_dump(mode="json", by_alias=True))
    if out is not None:
        _written(compiled.body, out)
    if json:
        say_json(compiled.report.to_json(indent=2))
        return
    draw(*compiled.report.lines(), wrap=False)
    note(f"{entry.ref} ({entry.short}) is a {entry.status}")
    note(f"next: spanreel playbook show {entry.ref}")


def _written(body: Body, file: Path) -> None:
    import json

    from spanreel.replay.playbooks.formats.write import to_yaml

    text = (
        json.dumps(body.document(), indent=2, ensure_ascii=False) if file.suffix == ".json" else to_yaml(body)
    )
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({error.strerror})", "name another file") from error


def _matchers(said: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in said:
        key, equals, text = one.partition("=")
        if not (key and equals):
            raise _usage(f"--match {one} says nothing", "give KEY=VALUE, such as agent=retail")
        if key == "agent":
            found["agent"] = text
        elif key in ("goal", "tools"):
            found.setdefault(key, []).append(text)
        else:
            found.setdefault("input", {})[key] = {"equals": _value(text)}
    return found


def _condition(said: str) -> dict[str, Any]:
    import json

    if said.lstrip().startswith("{"):
        try:
            found = json.loads(said)
        except ValueError as error:
            raise _usage(f"--success is not JSON ({error})", "give PATH=VALUE, or a condition") from None
        return found
    path, equals, text = said.partition("=")
    if not (path and equals):
        raise _usage(f"--success {said} says nothing", "give PATH=VALUE, such as status=done")
    return {"json": f"result.{path}", "equals": _value(text)}


def _value(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _risk(said: str | None) -> str | None:
    if said not in (None, "low", "medium", "high"):
        raise _usage(f"--risk {said} is none", "give low, medium or high")
    return said


def _usage(message: str, remedy: str) -> Exception:
    from spanreel.cli.overrides import Usage

    return Usage(message, remedy)
