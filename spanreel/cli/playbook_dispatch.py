"""`spanreel playbook dispatch|suggest|prime`: a task, and the playbooks there are for it. Thin: nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import note, say, say_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.dispatching.choosing import Considered
    from spanreel.replay.playbooks.dispatching.dispatched import Dispatched

Goal: TypeAlias = Annotated[
    str, typer.Argument(metavar="GOAL", help="What is to be done, in words.", show_default=False)
]
Input: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=VALUE", help="One input of the task.", show_default=False),
]
Inputs: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE", help="All inputs: an object, or a text.", show_default=False),
]
Tools: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--tools", metavar="MODULE", help="A module that registers tools.", show_default=False),
]
Agent: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The agent, as matchers name it.", show_default=False),
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="PROVIDER/NAME",
        help="For model states, and to read parameters out of text.",
        show_default=False,
    ),
]


def dispatch(
    goal: Goal,
    input: Input = None,  # noqa: A002 - the word of the option
    inputs: Inputs = None,
    fallback: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION", help="The agent, where no playbook may do it.", show_default=False
        ),
    ] = None,
    tools: Tools = None,
    agent: Agent = None,
    model: Model = None,
    guided: Annotated[bool, typer.Option("--guided", help="Let a state that fails be mended, once.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Only decide.")] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Do a task by the active playbook that fits, else by the agent.

    Only an active playbook is run. One that a guard stops before it changed
    anything leaves the task to the agent; one that may have changed something does
    not. Either is recorded.

    Exit codes: 0 done; 1 failed; 3 paused; 5 nobody may do it.

    Examples:
        spanreel playbook dispatch "exchange it" --input order_id=W1 --dry
        spanreel playbook dispatch "exchange it" --inputs @it.json --tools shop
        spanreel playbook dispatch "exchange it" --fallback shop.agent:run
    """
    from spanreel.cli.inputs import inputs as read
    from spanreel.replay.playbooks.dispatching.dispatch import dispatch as run
    from spanreel.replay.playbooks.engine.running import tool_places

    found = run(
        goal,
        read(input, inputs),
        _function(fallback) if fallback else None,
        agent=agent,
        store=store,
        tools=tool_places(tools or ()),
        model=model,
        mode="guided" if guided else "strict",
        dry=dry,
    )
    if json:
        say_json(found.to_json(indent=2))
    else:
        _tell(found)
    raise typer.Exit(found.exit_code)


def suggest(
    goal: Goal,
    input: Input = None,  # noqa: A002 - the word of the option
    inputs: Inputs = None,
    tools: Tools = None,
    agent: Agent = None,
    every: Annotated[bool, typer.Option("--all", help="Also those of another goal.")] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """List the playbooks for a goal, with what speaks for and against each.

    Examples:
        spanreel playbook suggest "exchange an item" --tools shop.tools
    """
    from spanreel.cli.inputs import inputs as read
    from spanreel.replay.playbooks.dispatching.suggest import Suggestions
    from spanreel.replay.playbooks.dispatching.suggest import suggest as look
    from spanreel.replay.playbooks.engine.running import tool_places

    found = look(goal, read(input, inputs), tool_places(tools or ()), store, agent=agent, all_of_them=every)
    if json:
        say_json(Suggestions(goal=goal, suggestions=found).to_json(indent=2))
        return
    if not found:
        note("no playbook has to do with this goal; for all of them: --all")
    for one in found:
        _tell_one(one)


def prime(
    goal: Goal,
    input: Input = None,  # noqa: A002 - the word of the option
    inputs: Inputs = None,
    agent: Agent = None,
    most: Annotated[int, typer.Option(min=1, help="How many playbooks to tell of.")] = 2,
    json: Json = False,
    store: Store = None,
) -> None:
    """Print what active playbooks know of a task, as a block for a prompt.

    Examples:
        spanreel playbook prime "exchange an item"
    """
    from spanreel.cli.inputs import inputs as read
    from spanreel.replay.playbooks.dispatching.prime import prime as look

    found = look(goal, read(input, inputs), store=store, agent=agent, most=most)
    if json:
        say_json(found.to_json(indent=2))
    elif found.prompt:
        for line in found.prompt.splitlines():
            say(line)
    else:
        note("no active playbook fits this goal: spanreel playbook suggest tells why")


def _function(named: str) -> Callable[..., Any]:
    """``module:function``, from the working directory too."""
    import importlib
    import os
    import sys

    from spanreel.cli.overrides import Usage

    module, _, name = named.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise Usage(f"--fallback {named}: {error}", "write --fallback module:function") from None
    if not callable(found):
        raise Usage(f"--fallback {named} is no function", "write --fallback module:function")
    return found


def _tell(found: Dispatched) -> None:
    chosen = found.playbook
    named = f"{chosen.name}@{chosen.version}" if chosen and chosen.version else chosen.name if chosen else ""
    who = {"playbook": f"playbook {named}", "agent": "the agent", "nobody": "nobody"}[found.by]
    if found.dry:
        say(f"would be done by {who}")
    else:
        say(f"{found.status or 'not done'}: {who}" + (f", run {found.run_id[:12]}" if found.run_id else ""))
    if found.output is not None:
        from spanreel.cli.words import flat

        say(flat(found.output))
    if found.reason is not None:
        note(f"{found.reason.code}: {found.reason.text}")
        if found.reason.next:
            note(f"  → {found.reason.next}")
    if found.saved is not None:
        saved = found.saved
        parts = [f"{saved.model_calls} model calls"] if saved.model_calls is not None else []
        parts += [f"{saved.tokens:,} tokens"] if saved.tokens is not None else []
        parts += [f"${saved.cost}"] if saved.cost is not None else []
        parts += [f"{saved.seconds:g} s"] if saved.seconds is not None else []
        note(f"saved: {', '.join(parts)}")
    if found.by != "playbook":
        for one in found.considered[:5]:
            why = ", ".join(dict.fromkeys(reason.code for reason in one.reasons_against))
            taken = chosen is not None and one.hash == chosen.hash and not found.dry
            note(f"  {one.name}@{one.version}: {why or ('was taken' if taken else 'fits')}")


def _tell_one(one: Considered) -> None:
    fits = "fits" if one.fits else "does not fit"
    say(f"{one.name}@{one.version}  {one.status}, {fits}, confidence {one.confidence:.2f}")
    for reason in one.reasons_for:
        say(f"  + {reason.text}")
    for reason in one.reasons_against:
        say(f"  - {reason.code}: {reason.text}")
