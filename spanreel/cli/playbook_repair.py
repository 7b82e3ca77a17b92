"""Verbs that change what a playbook is: repair, review. Both leave the active body as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanreel.cli.deciding import Actor, Reason, actor_of
from spanreel.cli.options import Json, Store
from spanreel.cli.playbook_library import Ref
from spanreel.cli.playbook_lint import Tools, tell_changes
from spanreel.cli.terminal import note, say, say_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.review import Reviewed


def repair(
    playbook: Ref,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="The execution that failed; default: the newest.", show_default=False
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A run that shows the new way.", show_default=False),
    ] = None,
    patch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What to change: a JSON Patch, or step_patches.", show_default=False
        ),
    ] = None,
    with_: Annotated[
        str,
        typer.Option("--with", metavar="rule|model|MODULE:FUNC", help="Who proposes it."),
    ] = "rule",
    model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER/NAME", help="The model, for --with model.", show_default=False),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A parameter over --like, if its input lacks it.", show_default=False
        ),
    ] = None,
    tools: Tools = None,
    counterexample: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Only keep this failed run with the playbook.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the repair, and keep nothing.")] = False,
    reason: Reason = None,
    actor: Actor = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Propose the smallest repair of a playbook that failed. It waits for a review.

    What it is held against is the run that shows the new way, else the one that
    failed; the same comparison as everywhere decides whether it fits. No state is
    taken out and no guard loosened. The active body stays what it was.

    Exit codes: 0 proposed; 1 nobody knows what would make it fit.

    Examples:
        spanreel playbook repair exchange-item --like last --tools shop.tools
        spanreel playbook repair exchange-item --patch fix.json --reason "new key"
        spanreel playbook repair exchange-item --counterexample last:failed
    """
    from spanreel.cli.inputs import values
    from spanreel.replay.playbooks.engine.running import tool_places
    from spanreel.replay.playbooks.governance.library import Library
    from spanreel.replay.playbooks.repairs import repairing

    library, who = Library(store), actor_of(actor)
    if counterexample is not None:
        _keep(library, playbook, counterexample, reason, who)
        return
    entry = library.get(playbook)
    wanted = repairing.Wanted(
        run=run,
        like=like,
        patch=None if patch is None else _patch_of(patch),
        using=with_,
        params=values(param, "--param", entry.body) if param else None,
        modules=tool_places(tools or ()),
        model=model,
        actor=who,
        reason=reason,
    )
    if dry_run:
        found, ref, status = repairing.found_for(entry, wanted, library), entry.name, "not kept"
    else:
        made = repairing.repair(playbook, wanted, library)
        found, ref, status = made.repair, made.entry.ref, made.entry.status
    if json:
        say_json(found.to_json(indent=2))
        return
    _tell(entry.body, found, ref, status)


def _tell(before: Any, found: Any, ref: str, status: str) -> None:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.repairs.difference import compared

    for change in found.changes:
        say(f"{change.rule}: {change.why}")
    tell_changes(compared(before, Body.model_validate(found.body)))
    for flag in found.flags:
        note(f"  look at this: {FLAGS.get(flag, flag)}")
    short = found.hash.removeprefix("sha256:")[:12]
    say(f"{ref} ({short}) is {'' if status == 'not kept' else 'in '}{status}")
    if status == "review":
        note(f'next: spanreel playbook review {ref} --approve --reason "…"')


FLAGS = {
    "guard": "a guard asks for something else than before",
    "constant": "a constant is taken from one run",
    "order": "the order of states is another one",
    "inserted": "a state is new",
    "removed": "a state is taken out",
    "unverified": "no run shows what follows the repaired state",
    "position": "a value is told by its place in a list",
}


def _keep(library: Any, playbook: str, run: str, reason: str | None, who: Any) -> None:
    from spanreel.replay.playbooks.governance.review import keep_counterexample

    entry = keep_counterexample(playbook, run, reason, who, library)
    say(f"run {run} stays with {entry.ref} as a counterexample")


def _patch_of(path: Path) -> Any:
    import json

    from spanreel.exceptions import BadInput

    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "give the path of a JSON file") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} is no JSON: {error}", "give a JSON Patch, or an object with step_patches"
        ) from None


def review(
    playbook: Ref,
    approve: Annotated[bool, typer.Option("--approve", help="It becomes a shadow.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="It is never used.")] = False,
    reason: Reason = None,
    actor: Actor = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Then make it active, if its gates let it.")
    ] = False,
    over: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Walk it over this run, too.", show_default=False),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A parameter over runs whose input lacks it.", show_default=False
        ),
    ] = None,
    no_shadow: Annotated[bool, typer.Option("--no-shadow", help="Approve it without a look.")] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Approve or reject a playbook that waits for a review. The decision is final.

    Before an approval it is walked over the run that shows the new way, over the
    runs that it comes from, and over its counterexamples; no tool is called. What
    speaks against it refuses the approval. An approved body is a shadow: only
    the gates of promotion make it the active one.

    Exit codes: 0 decided; 2 it waits for no review, or was reviewed; 5 refused.

    Examples:
        spanreel playbook review exchange-item --approve --reason "the key moved"
        spanreel playbook review exchange-item@3 --reject --reason "wrong state"
    """
    from spanreel.cli.inputs import values
    from spanreel.cli.overrides import Usage
    from spanreel.replay.playbooks.governance.library import Library
    from spanreel.replay.playbooks.governance.review import Verdict, waiting
    from spanreel.replay.playbooks.governance.review import review as decided

    if approve == reject:
        raise Usage("a review approves or rejects", "give one of --approve and --reject")
    library = Library(store)
    params = values(param, "--param", waiting(library, playbook).body) if param else None
    verdict = Verdict(
        approve=approve,
        reason=reason,
        actor=actor_of(actor),
        validate=not no_shadow,
        promote=promote,
        params=params,
        over=over or (),
    )
    found = decided(playbook, verdict, library)
    if json:
        say_json(found.to_json(indent=2))
        return
    _tell_review(found)


def _tell_review(found: Reviewed) -> None:
    for one in found.validated or ():
        mark = "✓" if one.passed else "✗"
        note(
            f"  {mark} {one.role} {one.run_id[:12]}: {one.verdict.replace('_', ' ')}{f', {one.why}' if one.why else ''}"
        )
    if found.decision == "approved" and found.validated is None:
        note("  approved without a look at what is recorded")
    short = found.hash.removeprefix("sha256:")[:12]
    say(f"{found.name}@{found.version} ({short}) is {found.decision}: {found.status}")
    if found.active and found.active != found.hash:
        note(f"  active is {found.active.removeprefix('sha256:')[:12]} as before")
    if found.status == "shadow":
        note(f"next: spanreel playbook promote {found.name}@{found.version}")
