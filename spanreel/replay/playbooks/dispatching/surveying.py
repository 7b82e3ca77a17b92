"""LOUD: the playbooks of a store, looked at for one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from spanreel.replay.playbooks.dispatching.choosing import Considered, Known, Task, consider
from spanreel.replay.playbooks.dispatching.fulltext import stems
from spanreel.replay.playbooks.engine.toolbox import Toolbox, gathered
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import judged

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.governance.library import Entry

    Given: TypeAlias = Mapping[str, Callable[..., Any]] | Sequence[str] | str | None

FINAL = frozenset({"rejected", "retired"})
GATED = frozenset({"candidate", "shadow"})
"""What waits for its promotion, which its gates decide about."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the library has for a task. considered: the best first; entries: by hash."""

    task: Task
    considered: list[Considered]
    entries: dict[str, Entry]
    toolbox: Toolbox

    def best(self) -> tuple[Considered, Entry] | None:
        """The one that nothing speaks against; None: there is none, or none is better than the other."""
        fitting = [one for one in self.considered if one.fits]
        if not fitting or self.tied:
            return None
        return fitting[0], self.entries[fitting[0].hash]

    @property
    def tied(self) -> bool:
        """Whether two playbooks fit equally well."""
        fitting = [one for one in self.considered if one.fits][:2]
        return len(fitting) == 2 and (fitting[0].confidence, len(fitting[0].params)) == (
            fitting[1].confidence,
            len(fitting[1].params),
        )


def toolbox_of(tools: Given) -> Toolbox:
    """The tools that a caller means: functions by name, names of modules that register them, and what is registered.

    Raises:
        SpanreelError: a module cannot be imported.
    """
    if isinstance(tools, Mapping):
        return Toolbox(tools)
    return gathered([tools] if isinstance(tools, str) else list(tools or ()))


def survey(
    goal: str,
    inputs: Any = None,
    *,
    store: str | os.PathLike[str] | None = None,
    tools: Given = None,
    agent: str | None = None,
    model: bool = False,
    any_tools: bool = False,
) -> Survey:
    """Look at every playbook of a store that is not retired or rejected.

    Args:
        goal: in words.
        inputs: an object by name, or a text.
        store: default: the project's.
        tools: see `toolbox_of`.
        agent: who would do it else.
        model: whether a model may read parameters out of text.
        any_tools: do not ask which tools there are.

    Raises:
        StoreError: the store cannot be read.
    """
    library = Library(store)
    entries = [one for one in library.entries() if one.status not in FINAL]
    toolbox = toolbox_of(tools)
    texts = {"task": goal if not isinstance(inputs, str) else f"{goal}\n{inputs}"}
    for entry in entries:
        texts |= {f"{entry.hash} {part}": text for part, text in _texts(entry.body).items()}
    words = stems(texts)
    known = [_known(library, entry, words) for entry in entries]
    task = Task(
        goal=goal,
        words=frozenset(words["task"]),
        inputs=inputs,
        agent=agent,
        tools=None if any_tools else toolbox.names(),
        model=model,
    )
    return Survey(task, consider(task, known), {entry.hash: entry for entry in entries}, toolbox)


def _texts(body: Body) -> dict[str, str]:
    params = [
        " ".join([name, param.description or "", *(str(one) for one in param.examples)])
        for name, param in body.params.items()
    ]
    every = [body.name, body.goal, body.description or "", *params, *body.matchers.goal]
    return {
        "name": body.name.replace("-", " "),
        "goal": body.goal or body.name.replace("-", " "),
        "all": " ".join(every),
        "matchers": " ".join(body.matchers.goal),
    }


def _known(library: Library, entry: Entry, words: Mapping[str, Any]) -> Known:
    evidence = entry.evidence
    return Known(
        body=entry.body,
        status=entry.status,
        version=entry.version,
        words={part: words[f"{entry.hash} {part}"] for part in ("name", "goal", "all", "matchers")},
        ok=evidence.count("ok"),
        runs=evidence.runs,
        gates=[one.text for one in judged(library, entry).refused] if entry.status in GATED else (),
    )
