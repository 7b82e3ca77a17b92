"""Verbs that look at the library of playbooks and move bodies in and out: list, show, why, candidate, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import console, draw, note, say, say_json
from spanreel.exceptions import BadInput

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.library import Library

Ref: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="PLAYBOOK",
        help="Which: NAME, NAME@3, NAME@active, or digits of its hash.",
        show_default=False,
    ),
]


def list_(
    name: Annotated[
        str | None, typer.Argument(help="Only the bodies of this name.", show_default=False)
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only those that are candidate, shadow, active, needs_repair, review, disabled, retired or rejected."
        ),
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """List the playbooks with their status and what their executions came to.

    Examples:
        spanreel playbook list
        spanreel playbook list exchange-item --json
        spanreel playbook list --status active
    """
    from spanreel.cli.playbook_objects import PlaybookList, line_of
    from spanreel.replay.playbooks.governance.library import Library
    from spanreel.replay.playbooks.governance.lifecycle import STATUSES

    if status is not None and status not in STATUSES:
        raise typer.BadParameter(f"{status!r} is none of {', '.join(STATUSES)}", param_hint="--status")
    library = Library(store)
    found = [one for one in library.entries(name) if status in (None, one.status)]
    if json:
        lines = [line_of(one) for one in found]
        say_json(PlaybookList(playbooks=lines, problems=library.problems).to_json(indent=2))
        return
    _problems(library)
    if not found:
        said = f" {name}" if name else ""
        say(f"no playbook{said}{f' is {status}' if status else ''} in {library.path}")
        note("compile one from runs: spanreel playbook compile RUN --name NAME")
        return
    from spanreel.cli.render.playbooks import table

    draw(table(found, console().width))


def show(
    playbook: Ref,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the body as its file.")] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Show a playbook: its states, its parameters, and what its executions came to.

    Examples:
        spanreel playbook show exchange-item
        spanreel playbook show exchange-item@2 --yaml
    """
    from spanreel.replay.playbooks.governance.library import Library

    library = Library(store)
    entry = library.get(playbook)
    if json:
        from spanreel.cli.playbook_objects import shown

        say_json(shown(entry).to_json(indent=2))
        return
    if yaml:
        from spanreel.replay.playbooks.formats.write import to_yaml

        print(to_yaml(entry.body), end="")
        return
    from spanreel.cli.render.playbooks import page

    draw(*page(entry, console().width))


def why(
    playbook: Ref,
    state: Annotated[str | None, typer.Argument(help="Only this state.", show_default=False)] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Say where a playbook comes from, who decided what about it, and on which evidence.

    With a state: which calls it was made of, where each value comes from, and what went wrong there.

    Examples:
        spanreel playbook why exchange-item
        spanreel playbook why exchange-item exchange
        spanreel playbook why exchange-item@2 --json
    """
    from spanreel.replay.playbooks.governance.why import why as explained

    found = explained(playbook, state, store)
    if json:
        say_json(found.to_json(indent=2))
        return
    from spanreel.cli.render.provenance import page

    draw(*page(found, console().width, only_state=state is not None))


def candidate(playbook: Ref, json: Json = False, store: Store = None) -> None:
    """Say whether a playbook can be used now; if not, every reason, each with a code.

    Exit codes: 0 it can; 5 it cannot.

    Examples:
        spanreel playbook candidate exchange-item
        spanreel playbook candidate exchange-item@2 --json
    """
    from spanreel.cli.playbook_objects import candidate_of
    from spanreel.replay.playbooks.governance.library import Library
    from spanreel.replay.playbooks.governance.promoting import judged

    library = Library(store)
    entry = library.get(playbook)
    found = candidate_of(entry, judged(library, entry))
    if json:
        say_json(found.to_json(indent=2))
    else:
        say(f"{entry.ref} ({entry.short}) {'can be used' if found.usable else 'cannot be used now'}")
        for reason in found.reasons:
            say(f"  {reason.code}: {reason.text}")
            if reason.remedy:
                note(f"  → {reason.remedy}")
    raise typer.Exit(0 if found.usable else 5)


def export(
    playbook: Ref,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file; .json writes JSON, any other YAML; default: stdout.",
            show_default=False,
        ),
    ] = None,
    store: Store = None,
) -> None:
    """Write a playbook to a file, with where it comes from and what was decided about it.

    What it tells of itself under `provenance` is no part of its identity: the file is the same playbook.

    Examples:
        spanreel playbook export exchange-item -o exchange-item.yaml
        spanreel playbook export exchange-item@2 > exchange-item.yaml
    """
    from spanreel.replay.playbooks.governance.exchange import exported

    entry, text = exported(playbook, store, as_json=output is not None and output.suffix == ".json")
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{output} cannot be written ({error.strerror})", "name another file") from error
    note(f"{output}: {entry.ref} ({entry.short})")


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Playbook files.", show_default=False)
    ],
    json: Json = False,
    store: Store = None,
) -> None:
    """Add playbooks from files. Each is a candidate, whatever was decided about it where it comes from.

    Examples:
        spanreel playbook import exchange-item.yaml
        spanreel playbook import playbooks/exchange.yaml playbooks/refund.json
    """
    from spanreel.cli.deciding import actor_of
    from spanreel.cli.playbook_objects import PlaybookList, line_of
    from spanreel.replay.playbooks.governance.exchange import imported

    found = [imported(file, store, actor_of(None)) for file in files]
    if json:
        lines = [line_of(entry) for entry, _ in found]
        say_json(PlaybookList(playbooks=lines).to_json(indent=2))
        return
    for file, (entry, new) in zip(files, found, strict=True):
        say(f"{file}: {entry.ref} ({entry.short}), {entry.status}{'' if new else ', was there'}")


def _problems(library: Library) -> None:
    for problem in library.problems:
        note(f"left out: {problem}")
