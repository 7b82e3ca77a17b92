"""`spanreel validate`: what is wrong with a playbook, before anything runs."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import note, say, say_json
from spanreel.exceptions import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.cli.objects import Finding
    from spanreel.replay.playbooks.body import Body, Param
    from spanreel.replay.playbooks.formats.target import Target
    from spanreel.replay.playbooks.formats.wellformed import Problem

PlaybookTarget: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="file.yaml, file.json, file.py, module:name, or playbook:NAME[@WHICH].",
        show_default=False,
    ),
]
ToolModules: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        metavar="MODULE",
        help="Import this first: a module, or a Python file, that registers tools.",
        show_default=False,
    ),
]
_PLACE = re.compile(r":(\d+): ")


def validate(
    target: PlaybookTarget,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count, and every tool has to be registered.")
    ] = False,
    tools: ToolModules = None,
    print_inputs_template: Annotated[
        bool, typer.Option("--print-inputs-template", help="Print its parameters as JSON to fill in.")
    ] = False,
    print_run_one_liner: Annotated[
        bool, typer.Option("--print-run-one-liner", help="Print the command that runs it.")
    ] = False,
    print_ci_one_liner: Annotated[
        bool, typer.Option("--print-ci-one-liner", help="Print a line for CI, which changes nothing.")
    ] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Check a playbook, and run nothing of it: keys, ways, cycles, bindings, guards.

    Whether tools are registered is asked with --strict, or where --tools names their modules. Exit codes: 0 valid;
    1 it is not.

    Examples:
        spanreel validate exchange-item.yaml
        spanreel validate exchange-item.yaml --strict --tools shop.tools
        spanreel validate playbook:exchange-item --print-inputs-template
    """
    from spanreel.cli.objects import Validation
    from spanreel.replay.playbooks.engine.running import tool_modules
    from spanreel.replay.playbooks.formats.target import find

    if strict or tools:
        tool_modules(tools or ())
    found: Target | None = None
    try:
        found = find(target, store)
        problems = [_finding(found, problem) for problem in _problems(found, strict or bool(tools))]
        problems += [_finding(found, problem) for problem in _observed(found, store)] if strict else []
    except BadInput as error:
        if not json:
            raise
        problems = [_unreadable(error)]
    body = found.body if found is not None else None
    valid = not any(strict or one.level == "error" for one in problems)
    if json:
        said = Validation(
            target=target,
            valid=valid,
            strict=strict,
            name=body.name if body else None,
            hash=body.hash if body else None,
            states=len(body.states) if body else None,
            problems=problems,
        )
        say_json(said.to_json(indent=2))
    elif body is not None and valid and (print_inputs_template or print_run_one_liner or print_ci_one_liner):
        words = [shlex.quote(target), *(f"--tools {shlex.quote(one)}" for one in tools or ())]
        if print_inputs_template:
            _print_template(body)
        if print_run_one_liner:
            say(" ".join(["spanreel playbook run", *words, *_given(body, "--param")]))
        if print_ci_one_liner:
            dry = ["spanreel run", *words, *_given(body, "--input"), "--dry-run"]
            say(" ".join(["spanreel validate", *words, "--strict", "&&", *dry]))
    else:
        _report(target, body, problems, valid)
    raise typer.Exit(0 if valid else 1)


def _problems(found: Target, registered: bool) -> list[Problem]:
    from spanreel.replay.playbooks.engine.toolbox import Toolbox
    from spanreel.replay.playbooks.formats.checking import unregistered

    if found.file is None:
        if found.body is None:
            found.checked()  # raises: it is no playbook
        problems = list(found.problems)
    else:
        problems = list(found.file.problems)
    if registered and found.body is not None:
        problems += unregistered(found.body, Toolbox().names())
    return problems


def _observed(found: Target, store: Path | None) -> list[Problem]:
    """Where its functions led, and nothing says that they do."""
    from spanreel.replay.graphs import undeclared
    from spanreel.replay.playbooks.formats.wellformed import Problem

    if found.body is None:
        return []
    return [
        Problem(
            ("states", one),
            f"runs of it went on to {to} ({times}×), and no edge says so",
            f"declare it: edges: [{{from: {one}, to: {to}}}]",
            "warning",
        )
        for (one, to), times in sorted(undeclared(found.body, store).items())
    ]


def _finding(found: Target, problem: Problem) -> Finding:
    from spanreel.cli.objects import Finding

    return Finding(
        level=problem.level,
        path=".".join(map(str, problem.path)),
        line=found.file.line(problem.path) if found.file else None,
        message=" ".join(problem.message.split()),
        remedy=problem.remedy or None,
    )


def _unreadable(error: BadInput) -> Finding:
    from spanreel.cli.objects import Finding

    message = str(error.args[0])
    line = _PLACE.search(message)
    return Finding(
        level="error",
        path="",
        line=int(line[1]) if line else None,
        message=message,
        remedy=error.remedy or None,
    )


def _report(target: str, body: Body | None, problems: list[Finding], valid: bool) -> None:
    from spanreel.cli.words import plural

    for one in sorted(problems, key=lambda one: one.line or 0):
        place = f"{target}:{one.line}" if one.line is not None else f"{target}: {one.path}"
        say(f"{one.level}: {place}: {one.message}")
        if one.remedy:
            say(f"  → {one.remedy}")
    counted = [
        plural(len([one for one in problems if one.level == level]), level)
        for level in ("error", "warning")
        if any(one.level == level for one in problems)
    ]
    if valid and body is not None:
        known = f" ({', '.join(counted)})" if counted else ""
        say(f"{body.name} is valid: {plural(len(body.states), 'state')}, {body.hash[:19]}{known}")
    else:
        note(f"{target} is not valid: {', '.join(counted)}")


def _print_template(body: Body) -> None:
    import json

    values = {name: _example(param) for name, param in body.params.items()}
    say_json(json.dumps(values, indent=2, ensure_ascii=False))


def _given(body: Body, option: str) -> list[str]:
    """What its parameters are given on a command line."""
    wanted = {name: one for name, one in body.params.items() if one.required and one.default is None}
    return [f"{option} {name}={shlex.quote(_text(_example(one)))}" for name, one in wanted.items()]


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _example(param: Param) -> Any:
    """A value of the kind that is wanted: the default, an example, or what says the kind."""
    if param.default is not None:
        return param.default
    for values in (param.enum, param.examples):
        if values:
            return values[0]
    empty: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return empty.get(param.type, f"<{param.description or param.type}>")
