"""`spanreel run`: any Python command with recording on, or a TARGET: an agent function, or a playbook."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from spanreel.cli.options import Json, Store
from spanreel.cli.overrides import Usage
from spanreel.cli.playbook_run import Mode, Model, Modes, Tools

TARGETS = (".yaml", ".yml", ".json")


class Targeted(TyperCommand):
    """`run`: what follows a command is the command's own; what follows a TARGET is ours."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = "--" not in args and is_target(self._first(args))
        return super().parse_args(ctx, args)

    def _first(self, args: list[str]) -> str:
        """The first word that is neither an option nor its value."""
        options: list[Any] = [one for one in self.params if not getattr(one, "is_flag", True)]
        with_value = {name for one in options for name in one.opts}
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                return word
            if word in with_value:
                rest = rest[1:]
        return ""


def is_target(word: str) -> bool:
    """Whether a word names a playbook or a function, rather than a program."""
    if word.lower().endswith(TARGETS):
        return True
    if word.endswith(".py"):
        return _holds_playbook(word)
    head, colon, name = word.partition(":")
    return bool(colon and head and name) and ("/" not in name and "\\" not in word)


def _holds_playbook(file: str) -> bool:
    """Whether a Python file makes a playbook, by its text: nothing of it is run to find out."""
    import ast
    from pathlib import Path

    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, ValueError, SyntaxError):
        return False
    made = (one.value for one in tree.body if isinstance(one, (ast.Assign, ast.AnnAssign)))
    called = (one.func for one in made if isinstance(one, ast.Call))
    return any("Playbook" in (getattr(one, "id", None), getattr(one, "attr", None)) for one in called)


def run(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET | -- CMD...",
            help="module:name, file.py:name, file.yaml, playbook:NAME; or, after --, a Python program.",
            show_default=False,
        ),
    ],
    input: Annotated[  # noqa: A002 - the word of the option
        list[str] | None,
        typer.Option("--input", metavar="A.B=V", help="One input; JSON, or a text.", show_default=False),
    ] = None,
    inputs_json: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE", help="All inputs as an object; @- reads them.", show_default=False
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name of your own for the run.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="A label to find it by.", show_default=False),
    ] = None,
    metadata_json: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE", help="Further values about it.", show_default=False),
    ] = None,
    experiment_json: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="What is being tried.", show_default=False)
    ] = None,
    mode: Modes = Mode.STRICT,
    tools: Tools = None,
    model: Model = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="End it after so many seconds.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask no model, run no tool that writes: placeholders.")
    ] = False,
    dry_check: Annotated[
        bool, typer.Option("--dry-check", help="Run nothing: look whether it could be run.")
    ] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Run a Python program, an agent function or a playbook, with recording on.

    After -- any Python program runs with no change to its code; the exit code is its own.
    A TARGET is called with the inputs, and the run can be replayed, forked and resumed.
    The options are for a TARGET.

    Exit codes of a TARGET: 0 completed; 1 failed, or stopped by a guard; 3 paused.

    Examples:
        spanreel run -- python agent.py --verbose
        spanreel run -- pytest tests/test_agent.py
        spanreel run shop.agents:support --input question="Where is W1?"
        spanreel run exchange.yaml --input order_id=W1 --tools shop.tools
        spanreel run playbook:exchange-item --inputs-json @inputs.json --dry-check
    """
    given = {
        "--input": input, "--inputs-json": inputs_json, "--run-id": run_id, "--tag": tag, "--tools": tools, "--model": model,
        "--metadata-json": metadata_json, "--experiment-json": experiment_json, "--timeout": timeout,
        "--dry-run": dry_run, "--dry-check": dry_check, "--json": json,
    }  # fmt: skip
    if not is_target(command[0]):
        unfit = next((name for name, value in given.items() if value), None)
        if unfit is not None:
            raise Usage(
                f"{unfit} is for a TARGET, and {command[0]} is a program",
                "spanreel run module:name, or file.yaml; or leave it out",
            )
        from spanreel.replay.child import run_command

        raise typer.Exit(run_command(command, store))
    if len(command) > 1:
        raise Usage(f"{command[1]} after the TARGET means nothing", f"give inputs: --input NAME={command[1]}")
    from spanreel.cli.playbook_run import run_in_time, run_target
    from spanreel.replay.playbooks.engine import running

    if timeout is not None:
        raise typer.Exit(run_in_time(timeout, store))
    about = running.About(
        run_id,
        _tags(tag or ()),
        {} if metadata_json is None else running.json_of(metadata_json, "--metadata-json"),
        {} if experiment_json is None else running.json_of(experiment_json, "--experiment-json"),
    )
    inputs = running.inputs_of(input or (), inputs_json)
    raise typer.Exit(
        run_target(
            command[0], inputs, about, mode=mode, tools=tools or (), model=model,
            dry_run=dry_run, dry_check=dry_check, json=json, store=store,
        )
    )  # fmt: skip


def _tags(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise Usage(f"--tag {one} has no value", "--tag KEY=VALUE")
        found[name] = value
    return found
