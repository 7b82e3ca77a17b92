"""LOUD: who may propose a repair: the rules, a function of the user's, a model. A repairer is a plugin, and only proposes.

A function is called with the body, the failure, and the run or (in a guided run) the variables; it gives a patch, a state
to put in the place of the one that failed, or None. A model is asked once, with what is known, for a JSON Patch; its call
is recorded like any other. What either gives is a patch like a person's: checked, held against the run, reviewed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.asks import Ask, Failure
from spanreel.replay.playbooks.binding import Unbound, bind
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.engine.toolbox import Toolbox
from spanreel.replay.playbooks.repairs.case import Case, Proposal
from spanreel.replay.playbooks.repairs.fitting import Done, Fit, Shown, Signature, Signatures
from spanreel.replay.playbooks.repairs.patch import patched
from spanreel.replay.playbooks.repairs.rules import renamed_argument, renamed_output, renamed_tool
from spanreel.replay.playbooks.shadows.scoring import Score
from spanreel.replay.timeline import Replay

Repairer: TypeAlias = "Callable[[Body, Failure, Any], Any]"
"""Body, failure, and the run (a `Replay`) or the variables, to a patch, a `State`, or None."""
MOST: Final = 12_000
"""Characters of a run that a model is told."""
SYSTEM: Final = (
    "You repair a playbook: a JSON document of states that call tools. A run of it stopped. Answer with a JSON Patch "
    "(RFC 6902) of the document: as few operations as possible. Take no state out, and leave conditions as strict as they are."
)
PATCH_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "patch": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"op": {"type": "string"}, "path": {"type": "string"}},
                "required": ["op", "path"],
            },
        }
    },
    "required": ["patch"],
}


def signatures(toolbox: Toolbox) -> Signatures:
    """What each tool takes that may be called here."""
    found: dict[str, Signature] = {}
    for name in toolbox.names():
        known = toolbox.find(name)
        if known is not None and known.function is not None:
            found[name] = Signature.of(name, known.function, known.safety)
    return found


def rule(
    toolbox: Toolbox | None = None, earlier: Mapping[str, Sequence[Any]] | None = None
) -> Callable[[Body, Failure, Mapping[str, Any]], State | None]:
    """The rules as a repairer of guided runs: what the tools' signatures, or earlier results, show.

    Args:
        toolbox: the tools; default: those that are registered.
        earlier: results that each state had before.
    """

    def repairer(body: Body, failure: Failure, variables: Mapping[str, Any]) -> State | None:
        known = signatures(toolbox or Toolbox())
        case = _underway(body, failure, variables, known, earlier or {})
        found: list[State] = []
        for one in (renamed_tool, renamed_argument, renamed_output):
            states = [_of(proposal, failure.state) for proposal in one(case)]
            found += [state for state in states if state is not None and _would_go(state, variables, known)]
        distinct = {state.model_dump_json(): state for state in found}
        return next(iter(distinct.values())) if len(distinct) == 1 else None

    return repairer


def built_in(store: Any = None) -> Sequence[Repairer]:
    """The repairers of a guided run that is given none: the rules, with what earlier executions in the store gave.

    Args:
        store: default: the project's.
    """

    def repairer(body: Body, failure: Failure, variables: Mapping[str, Any]) -> State | None:
        from spanreel.replay.playbooks.governance.library import Library
        from spanreel.replay.playbooks.repairs.repairing import earlier_results

        library = Library(store)
        kept = next((one for one in library.entries(body.name) if one.hash == body.hash), None)
        earlier = earlier_results(kept, library) if kept is not None else {}
        return rule(earlier=earlier)(body, failure, variables)

    return (repairer,)


def _underway(
    body: Body,
    failure: Failure,
    variables: Mapping[str, Any],
    known: Signatures,
    earlier: Mapping[str, Sequence[Any]],
) -> Case:
    served = {
        name: Done(at, state.tool, {}, variables[state.save_as])
        for at, (name, state) in enumerate(body.states.items())
        if state.tool is not None and state.save_as is not None
        if state.save_as in variables and name != failure.state
    }
    fit = Fit(Score(score=0.0), (), None, failure, None, None, variables, served, ())
    shown = Shown(Replay(run_id="", trace_id=""), dict(variables.get("params") or {}), ok=False)
    return Case(body, fit, shown, known, failure, earlier)


def _of(proposal: Proposal, state: str) -> State | None:
    found = proposal.document["states"].get(state)
    return None if found is None else State.model_validate(found)


def _would_go(state: State, variables: Mapping[str, Any], known: Signatures) -> bool:
    """Whether its arguments have values, and its tool takes them."""
    try:
        args = bind(state.args, variables)
    except Unbound:
        return False
    return state.tool is not None and state.tool in known and known[state.tool].takes(args)


def by_name(named: str) -> Repairer:
    """A repairer of the user's, by its ``module:function``.

    Raises:
        SpanreelError: there is none.
    """
    from spanreel.replay.playbooks.engine.toolbox import imported

    module, _, name = named.partition(":")
    found: Any = imported(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not name or not callable(found):
        raise SpanreelError(f"there is no repairer {named}", "give rule, model, or module:function")
    return found


def proposed(repairer: Repairer, body: Body, failure: Failure, about: Any) -> Body | None:
    """The body that a repairer proposes; None: it knows none.

    Raises:
        BadInput: what it gave is no patch.
        SpanreelError: it failed.
    """
    try:
        answer = repairer(body, failure, about)
    except SpanreelError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise SpanreelError(f"the repairer failed: {said}", "mend it, or use --with rule") from error
    if answer is None:
        return None
    if isinstance(answer, State):
        said = answer.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        answer = [{"op": "add", "path": f"/states/{failure.state}", "value": said}]
    return patched(body, answer)


def model(ask: Callable[[Ask], Any]) -> Repairer:
    """A model as a repairer: one call, whose answer is a JSON Patch.

    Args:
        ask: asks it, and gives the JSON value of its answer.
    """

    def repairer(body: Body, failure: Failure, about: Any) -> Any:
        return ask(Ask(failure.state, prompt(body, failure, about), SYSTEM, PATCH_SCHEMA, None, {}))

    return repairer


def prompt(body: Body, failure: Failure, about: Any) -> str:
    """What a model is told: the playbook, where it stopped and why, and what the run did."""
    parts = [
        f"The playbook:\n{json.dumps(body.document(), ensure_ascii=False, indent=1)}",
        f"It stopped at state {failure.state or '(before the first)'}: {failure.guard}: {failure.reason}",
    ]
    if isinstance(about, Replay):
        calls = [
            {
                "tool": call.tool_name,
                "args": call.tool_args,
                "result": call.result,
                **({"error": call.error} if call.error else {}),
            }
            for call in about.tool_calls
        ]
        parts.append(f"A run did this:\n{_cut(calls)}")
    elif isinstance(about, Mapping):
        parts.append(f"The variables at that moment:\n{_cut(about)}")
    return "\n\n".join(parts)


def _cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str, indent=1)
    return text if len(text) <= MOST else f"{text[:MOST]}\n… ({len(text) - MOST} characters more)"
