"""LOUD: which playbooks there are for a goal, with what speaks for and against each. Nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.playbooks.dispatching.choosing import Considered
from spanreel.replay.playbooks.dispatching.surveying import survey
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.dispatching.surveying import Given

Suggestion: TypeAlias = Considered
WORTH_A_LOOK = 0.1
"""How confident a suggestion is at least whose goal is another one."""


class Suggestions(Frozen):
    """The playbooks for a goal, the best first."""

    schema_: Literal["spanreel.suggestions.v1"] = Field(default="spanreel.suggestions.v1", alias="schema")
    goal: str
    suggestions: list[Considered] = Field(default_factory=list[Considered])


def suggest(
    goal: str,
    inputs: Any = None,
    tools: Given = None,
    store: str | os.PathLike[str] | None = None,
    *,
    agent: str | None = None,
    model: bool = False,
    all_of_them: bool = False,
) -> list[Suggestion]:
    """The playbooks that have to do with a goal, the best first; also those that dispatch would not take, with why.

    Args:
        goal: in words.
        inputs: of the task: an object by name, or a text.
        tools: functions by name, or names of modules that register them, besides what is registered.
        store: default: the project's.
        agent: who would do it else, by name.
        model: whether a model may read parameters out of text.
        all_of_them: also those of another goal.

    Raises:
        StoreError: the store cannot be read.
    """
    found = survey(goal, inputs, store=store, tools=tools, agent=agent, model=model)
    return [
        one
        for one in found.considered
        if all_of_them or not one.against("goal_mismatch") or one.confidence >= WORTH_A_LOOK
    ]
