"""The command that pins what others rely on: contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import note, say, say_json

CHANGED = 3


def contract(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="A playbook, or runs of an agent.", show_default=False),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="All runs of this agent.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only runs since: 7d, 12h, or a date.", show_default=False),
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="Import what registers the playbook's tools.", show_default=False
        ),
    ] = None,
    snapshot_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep it in this file.", show_default=False)
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare it with this file.", show_default=False)
    ] = None,
    allow_additive: Annotated[
        bool, typer.Option("--allow-additive", help="What only adds is no change.")
    ] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Pin what others rely on: of a playbook, or of an agent as its recorded runs show it.

    Of a playbook: what it does, the schemas and safety of its tools, the code of its functions. Of an agent: its
    models, hashes of its instructions, its tools and the shapes of arguments and results, as far as they were seen.

    Exit codes of --check: 0 the same; 3 it changed, with a unified diff.

    Examples:
        spanreel contract exchange.yaml --tools shop --snapshot-out pinned.json
        spanreel contract exchange.yaml --tools shop --check pinned.json
        spanreel contract --agent support --since 7d --json
    """
    from spanreel.cli.overrides import Usage
    from spanreel.replay import snapshots
    from spanreel.replay.playbooks.engine.running import tool_modules
    from spanreel.replay.surface import compared

    if bool(targets) == (agent is not None):
        raise Usage("a contract is of one thing", "name a playbook, runs, or --agent NAME")
    if snapshot_out is not None and check is not None:
        raise Usage("a snapshot is made, or checked", "give --snapshot-out or --check")
    before = None if check is None else snapshots.read(check)
    tool_modules(tools or ())
    found = snapshots.contract_of(targets or (), agent, since, store)
    missing = [name for name, said in found.says["tools"].items() if said is None]
    if missing:
        note(
            f"not registered here, so not in the contract: {', '.join(missing)}; import them with --tools MODULE"
        )
    if snapshot_out is not None:
        snapshots.write(found, snapshot_out)
        say(f"{snapshot_out}: {found.of} {found.name}, {found.sha256[:12]}")
        return
    if before is None:
        if json:
            say_json(found.to_json(indent=2))
        else:
            say(f"{found.of} {found.name}  {found.sha256}")
        return
    changes = compared(before, found)
    if json:
        say_json(changes.to_json(indent=2))
    else:
        if changes.diff:
            say(changes.diff)
        for one in changes.changes:
            note(f"{one.kind}: {one.path} {one.what}")
        say(f"{found.of} {found.name}: {changes.verdict}")
    fine = changes.verdict == "same" or (allow_additive and changes.verdict == "additive")
    raise typer.Exit(0 if fine else CHANGED)
