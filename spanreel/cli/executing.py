"""Commands that run recorded code again, the recording answering: replay and fork."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from spanreel.cli import overrides
from spanreel.cli.options import Json, Run, Store
from spanreel.cli.terminal import draw, note, say_json
from spanreel.exceptions import SpanreelError

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.replay.policy import Overrides, Policy


class Match(StrEnum):
    """How equal a call must be to the recorded one."""

    STRUCTURAL = "structural"
    STRICT = "strict"
    SCRUBBED = "scrubbed"
    EXPLORE = "explore"


class OnMiss(StrEnum):
    """What becomes of a call that nothing recorded answers."""

    RAISE = "raise"
    LIVE = "live"
    STUB = "stub"


class Network(StrEnum):
    """Whether the agent's other connections go out."""

    DENY = "deny"
    ALLOW = "allow"


class Clock(StrEnum):
    """Which time the agent sees."""

    NOW = "now"
    RECORDED = "recorded"


Command: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- CMD...]", help="What to run; default: what was run then.", show_default=False
    ),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Ask models with this instead: model, system, temperature, tools, …; JSON or text, @FILE, null: without it.",
        show_default=False,
    ),
]
Step: TypeAlias = Annotated[
    list[int] | None,
    typer.Option(
        "--step", metavar="N", help="The --set after it are for this step only.", show_default=False
    ),
]
Respond: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--respond",
        metavar="N=TEXT",
        help="Answer step N with this text, JSON or @FILE; what follows it is live.",
        show_default=False,
    ),
]
AllowTool: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--allow-tool", metavar="NAME", help="Let this tool run.", show_default=False),
]
MaxCost: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-cost", metavar="USD", help="No further live call once they cost this.", show_default=False
    ),
]
MaxCalls: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="Stop after so many live model calls.", show_default=False)
]
MaxSeconds: TypeAlias = Annotated[
    float | None, typer.Option(metavar="S", help="Stop going live after so long.", show_default=False)
]
Matching: TypeAlias = Annotated[
    Match,
    typer.Option(
        help="strict: equal JSON; structural: ids and order may differ; scrubbed: times and uuids too; explore: nearest."
    ),
]
Missing: TypeAlias = Annotated[OnMiss, typer.Option(help="For a call that nothing recorded answers.")]
Connections: TypeAlias = Annotated[Network, typer.Option(help="The agent's other connections.")]
Timeout: TypeAlias = Annotated[
    float | None, typer.Option(min=0, help="End the agent after this many seconds.", show_default=False)
]


def replay(
    run: Run = "last",
    command: Command = None,
    set_: Set = None,
    step: Step = None,
    respond: Respond = None,
    live: Annotated[bool, typer.Option("--live", help="Models are live from the first call on.")] = False,
    stub: Annotated[bool, typer.Option("--stub", help="A dry run: no model is asked.")] = False,
    calls: Annotated[
        bool,
        typer.Option(
            "--calls", help="Run no agent: ask each recorded model call again, and compare answers."
        ),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=2,
            help="Ask the diverging call K times with and without the --set: is it noise?",
            show_default=False,
        ),
    ] = None,
    allow_tool: AllowTool = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
    max_seconds: MaxSeconds = None,
    match: Matching = Match.STRUCTURAL,
    on_miss: Missing = OnMiss.RAISE,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="Failed attempts happen again, with the waiting after them.")
    ] = False,
    clock: Annotated[Clock, typer.Option(help="The time that the agent sees.")] = Clock.NOW,
    network: Connections = Network.DENY,
    timeout: Timeout = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Run a recorded agent again, offline: models and tools answer from the recording, the network is blocked.

    With --set or --live models are live from the first call on, and tools stay recorded unless --allow-tool
    names them. With only --step or --respond it is a fork at the first step that they name.

    --calls and --samples need no agent: recorded model calls are asked again, live, as they were but for
    --set. --step N alone is that call only. They are 0 where all is well, 1 for a failed call or where
    nothing can be told, 4 where --samples finds a change outside the provider's own spread.

    The verdict is exact, equivalent, drifted or diverged. Exit codes: 0 exact or equivalent; 4 diverged or drifted;
    3 paused; 1 for an error of the agent that is not in the recording.

    Examples:
        spanreel replay last
        spanreel replay 4f2a91c3 --json
        spanreel replay last --set model=gpt-5-mini --max-cost 0.10
        spanreel replay last --step 3 --set temperature=0
        spanreel replay last -- python agent.py --new-prompt
        spanreel replay last --calls --set model=anthropic/claude-sonnet-5
        spanreel replay last --samples 6 --live --set temperature=0
    """
    if calls or samples is not None:
        from spanreel.cli.asking import ask

        unfit = {"-- CMD": command, "--respond": respond, "--stub": stub, "--allow-tool": allow_tool}
        limits = (max_cost, max_calls, max_seconds)
        raise typer.Exit(ask(run, set_, step, unfit, limits, samples, json=json, store=store))
    changed = _overrides(run, store, set_, step, respond)
    policy = _policy(
        changed, None, (max_cost, max_calls, max_seconds),
        live=live, stub=stub, allow_tools=allow_tool or (), match=match.value,
        on_miss=on_miss.value, faithful=faithful, clock=clock.value, network=network.value,
    )  # fmt: skip
    _execute(run, command, policy, timeout, json, store)


def fork(
    run: Run = "last",
    command: Command = None,
    at: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Recorded before this step, live from it on; default: the first step that is edited or set.",
            show_default=False,
        ),
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Change step N first, in $EDITOR: a model's request or answer, a tool's result. N=@FILE: from a file.",
            show_default=False,
        ),
    ] = None,
    respond: Respond = None,
    set_: Set = None,
    step: Step = None,
    allow_tool: AllowTool = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
    max_seconds: MaxSeconds = None,
    match: Matching = Match.STRUCTURAL,
    on_miss: Missing = OnMiss.RAISE,
    network: Connections = Network.DENY,
    timeout: Timeout = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Go another way from a step on: recorded before it, live from it on. The fork is a new run.

    From there on a tool runs only if it is declared to read, or --allow-tool names it. Exit codes are
    those of `replay`.

    Examples:
        spanreel fork last --at 4
        spanreel fork last --edit 3
        spanreel fork last --respond 4=@result.json --allow-tool send_mail
        spanreel fork last --at 2 --set model=anthropic/claude-sonnet-4-5
    """
    changed = _overrides(run, store, set_, step, respond)
    edits = overrides.edits(edit or ())
    if at is None:
        at = min([*edits, *changed.steps, *changed.responses], default=None)
    if at is None:
        raise overrides.Usage("where to fork is not said", f"spanreel fork {run} --at N, or --edit N")
    from spanreel.cli.forking import edited

    changed = edited(changed, edits, run, store)
    policy = _policy(
        changed, at, (max_cost, max_calls, max_seconds),
        allow_tools=allow_tool or (), match=match.value, on_miss=on_miss.value, network=network.value,
    )  # fmt: skip
    _execute(run, command, policy, timeout, json, store)


def _overrides(
    run: str, store: Path | None, given: list[str] | None, step: list[int] | None, respond: list[str] | None
) -> Overrides:
    from spanreel.replay.policy import Overrides

    every, steps, hints = overrides.parameters(given or ())
    unset = sorted(set(step or ()) - set(steps))
    if unset:
        raise overrides.Usage(
            f"--step {unset[0]} has no --set after it", f"--step {unset[0]} --set KEY=VALUE"
        )
    for hint in hints:
        note(hint)
    if not respond:
        return Overrides(every=every, steps=steps)
    from spanreel.cli.forking import tool_steps

    return Overrides(every, steps, overrides.answers(respond, tool_steps(run, store)))


def _policy(
    changed: Overrides,
    at: int | None,
    limits: tuple[str | None, int | None, float | None],
    *,
    live: bool = False,
    stub: bool = False,
    **others: object,
) -> Policy:
    from spanreel.replay.settings import limited, policy_for

    try:
        return policy_for(changed, at=at, live=live, stub=stub, budget=limited(*limits), **others)  # pyright: ignore[reportArgumentType] - each is a field's own word
    except SpanreelError as error:
        raise overrides.Usage(str(error.args[0]), error.remedy) from None


def _execute(
    run: str, command: list[str] | None, policy: Policy, timeout: float | None, json: bool, store: Path | None
) -> None:
    from spanreel.cli.forking import check
    from spanreel.replay.child import replay_run
    from spanreel.replay.settings import begins

    check(run, store, policy)
    live = begins(policy)
    if live:
        note(f"models are live {live}")
    outcome = replay_run(
        store, run, command or None, policy=policy, timeout=timeout, echo="stderr" if json else "inherit"
    )
    if outcome.verdict is None:
        raise SpanreelError(outcome.problem or "the replay has no verdict", f"spanreel show {run}")
    sys.stdout.flush()
    if json:
        say_json(outcome.verdict.to_json(indent=2))
    else:
        from spanreel.cli.render.verdict import lines
        from spanreel.replay.files import file_of

        draw(*lines(outcome.verdict, shlex.quote(run) if file_of(run)[0] else None), wrap=False)
    raise typer.Exit(outcome.exit_code)
