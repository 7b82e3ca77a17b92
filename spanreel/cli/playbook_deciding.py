"""Verbs that decide about a playbook: promote, disable, enable, retire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanreel.cli.deciding import Actor, Hook, Reason, actor_of
from spanreel.cli.options import Json, Store
from spanreel.cli.playbook_library import Ref
from spanreel.cli.terminal import note, say, say_json
from spanreel.exceptions import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.playbooks.governance.promoting import Judged
    from spanreel.replay.playbooks.governance.shelf import Entry


def promote(
    playbook: Ref,
    to: Annotated[str, typer.Option(metavar="active|shadow", help="What it is to become.")] = "active",
    force: Annotated[
        bool, typer.Option("--force", help="Although gates refuse it; needs --reason, and is recorded.")
    ] = False,
    reason: Reason = None,
    actor: Actor = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE=VALUE",
            help="Ask for more, such as min_runs=5 or profile=strict.",
            show_default=False,
        ),
    ] = None,
    hook: Hook = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Promote a playbook, if the evidence passes its gates. The one that it replaces is retired.

    [tool.spanreel.promotion] in pyproject.toml says what is asked: profile = "strict", "staged" (the default) or
    "aggressive", and any of min_runs, min_distinct_inputs, min_success_ratio, max_divergence, max_failed, max_blocked,
    max_unknown, max_cost_ratio, require_shadow_pass; a playbook's own `promotion:` goes before it.

    Exit codes: 0 promoted, or it was; 5 a gate or a hook refused; 2 it cannot be promoted.

    Examples:
        spanreel playbook promote exchange-item --to shadow
        spanreel playbook promote exchange-item --reason "a week in shadow"
        spanreel playbook promote exchange-item@3 --force --reason "the demo"
    """
    from spanreel.replay.playbooks.governance.library import Library
    from spanreel.replay.playbooks.governance.promoting import judged
    from spanreel.replay.playbooks.governance.promoting import promote as promoted

    if to not in ("active", "shadow"):
        raise typer.BadParameter(f"{to!r} is neither active nor shadow", param_hint="--to")
    library, asked, who = Library(store), _gates(gate), actor_of(actor)
    try:
        made = promoted(
            playbook, to, force=force, reason=reason, actor=who, gates=asked, hook=hook or (), store=library
        )
    except Refused:
        if json:
            entry = library.get(playbook)
            try:
                told = judged(library, entry, asked)
            except Refused:  # that is what was refused
                told = judged(library, entry)
            _json(entry, "promote", entry.status, reason, who, told, changed=False)
        raise
    if json:
        _json(
            made.entry, "promote", made.before, reason, who, made.judged,
            changed=made.changed, forced=made.forced, retired=list(made.retired),
        )  # fmt: skip
        return
    entry = made.entry
    if not made.changed:
        say(f"{entry.ref} ({entry.short}) is {entry.status} already")
        return
    say(f"{entry.ref} ({entry.short}) is {entry.status}, was {made.before}")
    for figure in made.judged.figures if to == "active" else ():
        note(f"  {'passed ' if figure.passed else 'REFUSED'} {figure.text}")
    if made.forced:
        note(f"  forced: {reason}")
    for ref in made.retired:
        note(f"  {ref} is retired")


def disable(
    playbook: Ref, reason: Reason = None, actor: Actor = None, json: Json = False, store: Store = None
) -> None:
    """Take a playbook out of use until it is enabled.

    Examples:
        spanreel playbook disable exchange-item --reason "the tool is down"
    """
    _decide(playbook, "disable", reason, actor, json, store)


def enable(
    playbook: Ref, reason: Reason = None, actor: Actor = None, json: Json = False, store: Store = None
) -> None:
    """Make a disabled playbook a candidate again; its evidence stays, and promotes it.

    Examples:
        spanreel playbook enable exchange-item@2
    """
    _decide(playbook, "enable", reason, actor, json, store)


def retire(
    playbook: Ref, reason: Reason = None, actor: Actor = None, json: Json = False, store: Store = None
) -> None:
    """Put a playbook away. It is never deleted: its runs name it.

    Examples:
        spanreel playbook retire exchange-item@1 --reason "replaced"
    """
    _decide(playbook, "retire", reason, actor, json, store)


def _decide(
    ref: str, kind: str, reason: str | None, actor: str | None, json: bool, store: Path | None
) -> None:
    from spanreel.replay.playbooks.governance.library import Library

    library, who = Library(store), actor_of(actor)
    entry = library.get(ref)
    made = library.decide(entry, kind, reason=reason, actor=who)
    if json:
        _json(made, kind, entry.status, reason, who, None)
        return
    say(f"{made.ref} ({made.short}) is {made.status}, was {entry.status}")


def _gates(given: list[str] | None) -> dict[str, Any]:
    import json

    found: dict[str, Any] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals:
            raise typer.BadParameter(f"{one!r} is not GATE=VALUE", param_hint="--gate")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _json(
    entry: Entry,
    kind: str,
    before: str,
    reason: str | None,
    actor: Any,
    told: Judged | None,
    *,
    changed: bool = True,
    forced: bool = False,
    retired: list[str] | None = None,
) -> None:
    from spanreel.cli.playbook_objects import PlaybookDecided

    said = PlaybookDecided(
        name=entry.name,
        version=entry.version,
        hash=entry.hash,
        decision=kind,
        before=before,
        status=entry.status,
        changed=changed,
        forced=forced,
        reason=reason,
        actor=actor,
        resolution=told.resolution.document() if told else None,
        gates=[one.model_dump(mode="json") for one in told.figures] if told else [],
        refused=[one.gate for one in told.refused] if told else [],
        retired=retired or [],
    )
    say_json(said.to_json(indent=2))
