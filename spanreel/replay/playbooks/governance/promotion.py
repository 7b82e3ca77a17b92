"""The gates before a body becomes active: what they ask, what was found, by how much it falls short.

Quiet. A gate that nothing is known for is not passed. Three profiles, which a project (`[tool.spanreel.promotion]`) and
then the body itself (`promotion:`) may change gate by gate; where each value comes from is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from spanreel.exceptions import BadInput, Refused
from spanreel.replay.playbooks.governance.evidence import mean_cost
from spanreel.replay.playbooks.governance.lifecycle import Demotion
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.evidence import Evidence

Profile: TypeAlias = Literal["strict", "staged", "aggressive"]


class Gates(Frozen):
    """What is asked of the evidence of a body; None: that is not asked.

    Attributes:
        min_runs: executions and shadows that show whether it works.
        min_distinct_inputs: different parameters over which it was ok.
        min_success_ratio: of all that it was not kept from, how many were ok; unknown is not ok.
        max_divergence: how much of what agents did its shadows did not propose, on average.
        max_failed, max_blocked, max_unknown: how many failed, were stopped by how they were called, or were killed.
        max_cost_ratio: what an execution costs over what one of its source runs did; by tokens where no cost is known.
        require_shadow_pass: there is a shadow of a recorded run, and the newest one went through.
    """

    min_runs: int | None = Field(default=None, ge=0)
    min_distinct_inputs: int | None = Field(default=None, ge=0)
    min_success_ratio: float | None = Field(default=None, ge=0, le=1)
    max_divergence: float | None = Field(default=None, ge=0, le=1)
    max_failed: int | None = Field(default=None, ge=0)
    max_blocked: int | None = Field(default=None, ge=0)
    max_unknown: int | None = Field(default=None, ge=0)
    max_cost_ratio: float | None = Field(default=None, ge=0)
    require_shadow_pass: bool = False


PROFILES: Final[dict[str, Gates]] = {
    "strict": Gates(
        min_runs=5,
        min_distinct_inputs=3,
        min_success_ratio=1.0,
        max_divergence=0.0,
        max_failed=0,
        max_blocked=0,
        max_unknown=0,
        max_cost_ratio=1.0,
        require_shadow_pass=True,
    ),
    "staged": Gates(
        min_runs=3,
        min_distinct_inputs=2,
        min_success_ratio=0.9,
        max_divergence=0.1,
        max_failed=1,
        max_cost_ratio=1.0,
        require_shadow_pass=True,
    ),
    "aggressive": Gates(min_runs=1, min_distinct_inputs=1, min_success_ratio=0.5),
}
DEMOTIONS: Final = {
    "strict": Demotion(after_stops=1, max_failure_ratio=0.0, least=1),
    "staged": Demotion(),
    "aggressive": Demotion(after_stops=3, max_failure_ratio=0.5),
}
DEFAULT: Final = "staged"
_DEMOTION: Final = {"demote_after_stops": "after_stops", "demote_failure_ratio": "max_failure_ratio"}
_RENAMED: Final = {
    "max_failed_steps": "max_failed",
    "max_blocked_steps": "max_blocked",
    "max_unknown_steps": "max_unknown",
}
_REFUSED: Final = {"min_total_steps": "evidence is counted in runs here: ask for min_runs"}
_KNOWN: Final = (*Gates.model_fields, *_DEMOTION, *_RENAMED, "profile")


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is asked in the end. sources: by gate, who said so: the profile's name, project, playbook or caller."""

    profile: str
    gates: Gates
    demotion: Demotion
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def document(self) -> dict[str, Any]:
        """As JSON: the gates that are asked, each with who asks it."""
        asked = self.gates.model_dump(exclude_none=True)
        said = {
            gate: {"value": value, "from": self.sources.get(gate, self.profile)}
            for gate, value in asked.items()
            if value is not False
        } | {
            gate: {"value": None, "from": who}  # one that somebody took away is told too
            for gate, who in self.sources.items()
            if getattr(self.gates, gate) in (None, False)
        }
        demotion = {
            "after_stops": self.demotion.after_stops,
            "max_failure_ratio": self.demotion.max_failure_ratio,
        }
        return {"profile": self.profile, "gates": said, "demotion": demotion}


class GateFigure(Frozen):
    """A gate: what it asks, what was found (None: nothing is known), whether that is enough, and by how much not.

    short: the difference; text: all of it in words.
    """

    gate: str
    wanted: bool | int | float
    found: bool | int | float | None
    passed: bool
    short: float | None = None
    text: str


def resolve(
    project: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    caller: Mapping[str, Any] | None = None,
) -> Resolution:
    """The gates that hold: of the profile, changed by the project, then by the body, then by the caller.

    A caller can only ask for more: to go on in spite of a gate is `--force`, which needs a reason and is recorded.

    Raises:
        BadInput: one of them names what is no gate, or gives it a value that it cannot have.
        Refused: the caller asks for less than the others.
    """
    if caller:
        asked = _resolved(project, body, caller)
        _check_raised(_resolved(project, body, None).gates, asked.gates)
        return asked
    return _resolved(project, body, None)


def _check_raised(before: Gates, after: Gates) -> None:
    for gate in Gates.model_fields:
        wanted, now = getattr(before, gate), getattr(after, gate)
        if wanted is None or wanted is False:
            continue
        if now is None or now is False:
            raise _less(gate, "off", wanted)
        if now < wanted if gate.startswith("min_") else now > wanted:
            raise _less(gate, _number(now), wanted)


def _less(gate: str, now: str, wanted: float) -> Refused:
    return Refused(
        f"{gate} = {now} asks for less than {_number(wanted)}, which holds here",
        "to promote in spite of a gate: --force --reason '…'",
    )


def _resolved(
    project: Mapping[str, Any] | None, body: Mapping[str, Any] | None, caller: Mapping[str, Any] | None
) -> Resolution:
    said: list[tuple[str, str, Mapping[str, Any]]] = [
        ("[tool.spanreel.promotion]", "project", project or {}),
        ("promotion", "playbook", body or {}),
        ("the gates", "caller", caller or {}),
    ]
    profile = DEFAULT
    for where, _, values in said:
        profile = values.get("profile", profile)
        if profile not in PROFILES:
            raise BadInput(f"{where}: there is no profile {profile!r}", f"use one of {', '.join(PROFILES)}")
    asked: dict[str, Any] = {}
    demotion: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for where, who, given in said:
        for key, value in given.items():
            gate = _known(key, where)
            if gate in _DEMOTION:
                demotion[_DEMOTION[gate]] = _demoting(gate, value, where)
            elif gate != "profile":
                asked[gate], sources[gate] = value, who
                _checked({gate: value}, where)
    gates = PROFILES[profile].model_copy(update=_checked(asked, "the gates").model_dump(include=set(asked)))
    base = DEMOTIONS[profile]
    return Resolution(
        profile,
        gates,
        Demotion(
            demotion.get("after_stops", base.after_stops),
            demotion.get("max_failure_ratio", base.max_failure_ratio),
            base.window,
            base.least,
        ),
        sources,
    )


def _known(key: str, where: str) -> str:
    gate = _RENAMED.get(key, key)
    if gate in _REFUSED:
        raise BadInput(f"{where}: {key} is no gate; {_REFUSED[gate]}", "spanreel playbook promote --help")
    if gate not in _KNOWN:
        close = difflib.get_close_matches(key, _KNOWN, n=1)
        raise BadInput(
            f"{where}: {key} is no gate",
            f"did you mean {close[0]}?" if close else f"there are {', '.join(_KNOWN)}",
        )
    return gate


def _checked(values: Mapping[str, Any], where: str) -> Gates:
    try:
        return Gates.model_validate(dict(values), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}", "give another value"
        ) from None


def _demoting(gate: str, value: Any, where: str) -> Any:
    kind: Any = int if gate == "demote_after_stops" else float
    least = 1 if kind is int else 0
    try:
        found = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise BadInput(f"{where}: {gate}: {error.errors()[0]['msg']}", "give another value") from None
    if found < least:
        raise BadInput(f"{where}: {gate} is at least {least}", "give another value")
    return found


@dataclass(frozen=True, slots=True)
class SourceCost:
    """What the runs took that a body was compiled from, on average. cost: USD; None: nobody knows."""

    cost: float | None = None
    tokens: float | None = None


def judge(evidence: Evidence, gates: Gates, sources: SourceCost | None = None) -> list[GateFigure]:
    """Every gate that is asked, with what was found.

    Args:
        evidence: of the body.
        gates: what is asked.
        sources: what its source runs took; None: nobody knows.
    """
    counts: dict[str, Any] = {
        "min_runs": evidence.runs,
        "min_distinct_inputs": evidence.distinct_inputs,
        "min_success_ratio": evidence.success_ratio,
        "max_divergence": evidence.divergence,
        "max_failed": evidence.count("failed"),
        "max_blocked": evidence.count("blocked"),
        "max_unknown": evidence.count("unknown"),
    }
    found = [
        _figure(gate, wanted, counts[gate])
        for gate, wanted in ((name, getattr(gates, name)) for name in counts)
        if wanted is not None
    ]
    if gates.max_cost_ratio is not None:
        ratio, how = _cost_ratio(evidence, sources or SourceCost())
        found.append(_figure("max_cost_ratio", gates.max_cost_ratio, ratio, how))
    if gates.require_shadow_pass:
        shadows = evidence.shadows
        passed = bool(shadows) and shadows[-1].became == "ok"
        text = (
            "require_shadow_pass: the newest shadow went through"
            if passed
            else f"require_shadow_pass: the newest shadow did not go through ({shadows[-1].why})"
            if shadows
            else "require_shadow_pass: it has shadowed no run"
        )
        found.append(
            GateFigure(
                gate="require_shadow_pass",
                wanted=True,
                found=passed if shadows else None,
                passed=passed,
                text=text,
            )
        )
    return found


def refused(figures: Sequence[GateFigure]) -> list[GateFigure]:
    """Those that are not passed."""
    return [one for one in figures if not one.passed]


def _figure(gate: str, wanted: float, found: float | None, how: str = "") -> GateFigure:
    least = gate.startswith("min_")
    asks = f"{gate} asks for {'at least' if least else 'at most'} {_number(wanted)}"
    if found is None:
        return GateFigure(
            gate=gate,
            wanted=wanted,
            found=None,
            passed=False,
            text=f"{asks}; nothing is known{how and f' ({how})'}",
        )
    found = round(found, 6)
    short = round(wanted - found if least else found - wanted, 6)
    passed = short <= 0
    text = f"{asks}; found {_number(found)}{how and f' ({how})'}"
    if not passed:
        text += f", {_number(short)} too {'few' if least and isinstance(wanted, int) else 'little' if least else 'much' if isinstance(wanted, float) else 'many'}"
    return GateFigure(
        gate=gate, wanted=wanted, found=found, passed=passed, short=None if passed else short, text=text
    )


def _cost_ratio(evidence: Evidence, sources: SourceCost) -> tuple[float | None, str]:
    over = [one for one in evidence.executions if one.became == "ok"]
    live = [one for one in over if one.mode != "shadow"] or over
    if live and all(one.model_calls == 0 for one in live):
        return 0.0, "it calls no model"
    cost = mean_cost(one.cost for one in live)
    if cost is not None and sources.cost:
        return cost / sources.cost, "of the cost of its source runs"
    tokens = [one.tokens for one in live if one.tokens is not None]
    if tokens and len(tokens) == len(live) and sources.tokens:
        return sum(tokens) / len(tokens) / sources.tokens, "of the tokens of its source runs"
    return None, "neither cost nor tokens of an execution and of its source runs"


def _number(value: float) -> str:
    return f"{value:.4g}"
