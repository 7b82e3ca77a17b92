"""Commands that let a paused, crashed or killed run go on: approve, reject, resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spanreel.cli.executing import AllowTool, Command, Timeout
from spanreel.cli.options import Json, Run, Store
from spanreel.cli.terminal import draw, note, say, say_json
from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.verdict import Verdict

Id: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="Which approval; default: the one it waits for.", show_default=False),
]
Reason: TypeAlias = Annotated[str | None, typer.Option(help="Why, in words.", show_default=False)]
Actor: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|JSON", help="Who decides: a name, or an object; default: the user.", show_default=False
    ),
]
Hook: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOOK",
        help="Ask this first: module:function, or a program that reads JSON; it may refuse.",
        show_default=False,
    ),
]
RequireReason: TypeAlias = Annotated[
    bool, typer.Option("--require-reason", help="Refuse a decision without a reason.")
]
RequireKey: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--require-actor-key",
        metavar="KEY",
        help="Refuse a decision whose actor does not tell this.",
        show_default=False,
    ),
]


def approve(
    run: Run,
    approval: Id = None,
    reason: Reason = None,
    actor: Actor = None,
    require_reason: RequireReason = False,
    require_actor_key: RequireKey = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Approve what a run waits for. It goes on when it is resumed.

    A decision is final. [tool.spanreel.approvals] in pyproject.toml may ask for more:
    required_actor_keys = ["name"], require_reason = true.

    Examples:
        spanreel approve last --reason "within the limit"
        spanreel approve 4f2a91c3 refund --actor '{"name": "ann", "role": "lead"}'
    """
    _decide(run, approval, reason, actor, require_reason, require_actor_key, json, store, approved=True)


def reject(
    run: Run,
    approval: Id = None,
    reason: Reason = None,
    actor: Actor = None,
    require_reason: RequireReason = False,
    require_actor_key: RequireKey = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Reject what a run waits for. It goes on, and is told so, when it is resumed.

    Examples:
        spanreel reject last --reason "too much"
        spanreel reject 4f2a91c3 refund --actor ann
    """
    _decide(run, approval, reason, actor, require_reason, require_actor_key, json, store, approved=False)


def resume(
    run: Run = "last",
    command: Command = None,
    in_doubt: Annotated[
        str,
        typer.Option(
            metavar="ask|retry|skip|result=@FILE",
            help="What becomes of a call that began and did not end: stop, run it again, go on without, or take this as its result.",
        ),
    ] = "ask",
    allow_tool: AllowTool = None,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Go on although the code has changed.")
    ] = False,
    hook: Hook = None,
    timeout: Timeout = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Go on with a run after an approval, a crash, a timeout or a kill.

    A fork that is resumed keeps its overrides, and runs the tools that it or --allow-tool names.

    The agent runs again from its start: every effect that had ended is served from the recording, and does not happen
    twice; what follows is live. A call that may or may not have happened stops it, unless --in-doubt says what to do.

    Exit codes: 0 completed; 3 paused, in doubt, or changed code; 4 the agent did something else than recorded; 5 a hook
    refused; 1 the agent failed.

    Examples:
        spanreel resume last
        spanreel resume 4f2a91c3 --in-doubt retry
        spanreel resume 4f2a91c3 --in-doubt result=@result.json
    """
    from spanreel.replay.policy import Policy
    from spanreel.replay.resume import resume_run

    word, result = _in_doubt(in_doubt)
    policy = Policy(
        match="scrubbed",
        resume=True,
        in_doubt=word,
        in_doubt_result=result,
        allow_drift=allow_drift,
        allow_tools=frozenset(allow_tool or ()),
        network="allow",
    )
    echo = "stderr" if json else "inherit"
    outcome = resume_run(
        store, run, command or None, policy=policy, hook=hook or (), timeout=timeout, echo=echo
    )
    if outcome.verdict is None:
        raise SpanreelError(outcome.problem or "the run has no verdict", f"spanreel resume {run}")
    sys.stdout.flush()
    _report(outcome.verdict, json, run)
    failed = outcome.verdict.error is not None and not outcome.exit_code
    raise typer.Exit(1 if failed else outcome.exit_code)


def _report(found: Verdict, json: bool, run: str) -> None:
    if json:
        say_json(found.to_json(indent=2))
        return
    if found.first_divergence is not None or found.error or found.denied:
        from spanreel.cli.render.verdict import lines

        draw(*lines(found), wrap=False)
        return
    effects = found.effects
    counted = f"{effects.recorded} served, {effects.live} live" + (
        f", {effects.stub} stubbed" if effects.stub else ""
    )
    short = found.source_run_id[:12]
    note(f"run {short}: {found.status} ({counted})")
    for warning in found.warnings:
        note(f"  {warning}")
    if found.status == "paused":
        _report_gates(found, run)


def _report_gates(found: Verdict, run: str) -> None:
    if found.stopped:
        note(f"  {found.stopped}")
    if found.stopped and "decision about" in found.stopped:
        note(f"  → spanreel approve {found.source_run_id[:12]}")


def _in_doubt(said: str) -> tuple[Any, Any]:
    """The word of the policy, and the result that was given."""
    from spanreel.cli.overrides import Usage, value_of

    if said in ("ask", "retry", "skip"):
        return said, None
    if said.startswith("result="):
        return "result", value_of(said.removeprefix("result="), "--in-doubt")
    raise Usage(f"--in-doubt {said} says nothing", "give ask, retry, skip, or result=@FILE")


def _decide(
    run: str,
    approval: str | None,
    reason: str | None,
    actor: str | None,
    require_reason: bool,
    keys: list[str] | None,
    json: bool,
    store: Path | None,
    *,
    approved: bool,
) -> None:
    from spanreel.replay.approvals import decide, who

    made = decide(
        store,
        run,
        approval,
        approved=approved,
        reason=reason,
        actor=actor_of(actor),
        required_actor_keys=keys or (),
        require_reason=require_reason,
    )
    gate, short = made.gate, made.run_id[:12]
    if json:
        from spanreel.cli.objects import DecisionMade
        from spanreel.replay.gates import APPROVED, REJECTED
        from spanreel.replay.moments import timestamp

        said = DecisionMade(
            run_id=made.run_id,
            approval_id=gate.id,
            occurrence=gate.occurrence,
            status=APPROVED if approved else REJECTED,
            approved=approved,
            actor=made.decision.actor,
            reason=made.decision.reason,
            decided_at=timestamp(gate.decided_ns),
        )
        say_json(said.to_json(indent=2))
        return
    by = f" by {who(made.decision.actor)}" if made.decision.actor else ""
    say(f"{gate.status} {gate.title} of run {short}{by}")
    note(f"next: spanreel resume {short}")


def actor_of(said: str | None) -> Any:
    """Whoever runs the command, unless they say who they are."""
    import getpass
    import json

    if said is None:
        try:
            return {"name": getpass.getuser()}
        except (OSError, KeyError):
            return None
    if not said.lstrip().startswith("{"):
        return said
    try:
        return json.loads(said)
    except ValueError as error:
        from spanreel.cli.overrides import Usage

        raise Usage(f"--actor is not JSON ({error})", "give a name, or an object") from None
