"""What the compiler did and why, for people and programs: `spanreel.compile_report.v1`. Quiet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from spanreel.replay.timeline import Frozen


class ArgumentReport(Frozen):
    """Where an argument comes from.

    Attributes:
        binding: as the playbook says it.
        how: input, said, result, choice, joined, enum, typed, shown, constant, model; several with +.
        support: runs that are observations of their own; of `runs`.
        doubt: what somebody should look at, if anything.
    """

    name: str
    binding: Any
    how: str
    why: str
    support: int
    runs: int
    doubt: str | None = None


class StateReport(Frozen):
    """A state: what it does, of which calls it was made, which guards it has."""

    name: str
    tool: str | None = None
    safety: str | None = None
    role: Literal["write", "source", "guard", "step", "model", "branch"] = "step"
    support: int = 0
    arguments: list[ArgumentReport] = Field(default_factory=list[ArgumentReport])
    guards: list[str] = Field(default_factory=list[str])


class ParamReport(Frozen):
    """A parameter. source: input, said, choice, enum, typed, shown."""

    name: str
    type: str
    source: str
    pattern: str | None = None
    input: str | None = None
    examples: list[Any] = Field(default_factory=list[Any])


class LeftOutReport(Frozen):
    """A call that is no part of the playbook."""

    run_id: str
    tool: str
    span: str
    why: str


class RefusedRun(Frozen):
    """A run that was not used."""

    run_id: str
    why: str


class Savings(Frozen):
    """What the model calls that fall away cost, on average over the runs; None: the spans do not say."""

    model_calls: float = 0.0
    tokens: float | None = None
    cost: float | None = None
    seconds: float | None = None


class Checked(Frozen):
    """The playbook was walked over each source run, with that run's parameters: did it do what the run did?"""

    run_id: str
    exact: bool
    why: str | None = None


class CompileReport(Frozen):
    """What was made of the runs.

    Attributes:
        runs: that were used. refused: that were not.
        left_out: calls that are no part of it. notes: on the whole of it.
        review: what somebody should look at.
    """

    schema_: Literal["spanreel.compile_report.v1"] = Field(
        default="spanreel.compile_report.v1", alias="schema"
    )
    name: str
    hash: str
    runs: list[str]
    refused: list[RefusedRun] = Field(default_factory=list[RefusedRun])
    params: list[ParamReport] = Field(default_factory=list[ParamReport])
    states: list[StateReport] = Field(default_factory=list[StateReport])
    left_out: list[LeftOutReport] = Field(default_factory=list[LeftOutReport])
    savings: Savings = Savings()
    checked: list[Checked] = Field(default_factory=list[Checked])
    review: list[str] = Field(default_factory=list[str])
    notes: list[str] = Field(default_factory=list[str])

    def lines(self) -> Iterator[str]:
        """It as text, line by line."""
        runs = f"{len(self.runs)} run{'s' if len(self.runs) != 1 else ''}"
        yield f"{self.name} {self.hash[:19]}  compiled from {runs}"
        for one in self.refused:
            yield f"  not used: {one.run_id[:12]}: {one.why}"
        if self.params:
            yield "parameters"
        for param in self.params:
            told = ", ".join(str(example) for example in param.examples[:3])
            yield f"  {param.name}: {param.type}, {_SOURCES.get(param.source, param.source)}{f' {param.input}' if param.input else ''}  e.g. {told}"
        yield "states"
        for state in self.states:
            yield f"  {state.name}  {state.safety or ''} ({state.role}, {state.support} of {len(self.runs)} runs)".replace(
                "  (", " ("
            )
            for argument in state.arguments:
                doubt = f"  ! {argument.doubt}" if argument.doubt else ""
                yield f"    {argument.name} = {argument.binding}  ({argument.how}: {argument.why}; {argument.support} of {argument.runs}){doubt}"
            for guard in state.guards:
                yield f"    guard: {guard}"
        if self.left_out:
            yield "left out"
        for out in self.left_out:
            yield f"  {out.run_id[:12]} {out.tool}: {out.why}"
        saved = self.savings
        parts = [f"{saved.model_calls:g} model calls"]
        parts += [f"{saved.tokens:,.0f} tokens"] if saved.tokens is not None else []
        parts += [f"${saved.cost:.4f}"] if saved.cost is not None else []
        parts += [f"{saved.seconds:.1f} s"] if saved.seconds is not None else []
        yield f"saves, for each run: {', '.join(parts)}"
        exact = sum(one.exact for one in self.checked)
        yield f"checked: {exact} of {len(self.checked)} source runs are done again exactly"
        if self.review:
            yield "to look at"
        for line in self.review:
            yield f"  {line}"
        for note in self.notes:
            yield f"note: {note}"


_SOURCES = {
    "input": "of the input:",
    "said": "said in words",
    "choice": "one of several",
    "enum": "an option of the tool",
    "typed": "known by its form",
    "shown": "out of earlier results",
}
