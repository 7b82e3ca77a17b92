"""Model calls that stay: whose words were used, with their prompt as a template; and words that only a model can write.

Quiet. A call of a model whose answer only chose the next tool is no state. One whose text went into an argument or the
output is: its recorded prompt, with what is known in the place of the values that it had. A template has to give every
run's prompt back to the letter; else there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from spanreel.replay.playbooks.body import Llm
from spanreel.replay.playbooks.compiling.paths import Step, steps, told, value_at
from spanreel.replay.playbooks.conditions import equal

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.observed import Observed, Thought

WORDS: Final = 4
"""A text of so many words that stands nowhere before was written, not picked."""
LEAST: Final = 3
"""Letters of a value that is looked for in a prompt; shorter ones stand there by chance."""
GONE: Final = object()


@dataclass(frozen=True, slots=True)
class Used:
    """Where a model's words went. path: in its answer, read as JSON; None: the whole text."""

    thought: int
    path: tuple[Step, ...] | None

    def binding(self, save_as: str) -> str:
        """The value in a binding, of the variable that keeps the answer."""
        return f"{{{{ {save_as}{told(self.path or ())} }}}}"


def answered(text: str) -> Any:
    """A model's answer as JSON, where it is an object or a list; fences of Markdown around it are left out."""
    inner = text.strip()
    if inner.startswith("```"):
        inner = inner.partition("\n")[2].rpartition("```")[0].strip()
    if inner[:1] not in ("{", "["):
        return GONE
    try:
        return json.loads(inner)
    except (ValueError, RecursionError):
        return GONE


def used(run: Observed, value: Any, before: int) -> Iterator[Used]:
    """Model calls of a run that a value may be the words of, the latest first.

    Args:
        run: the run.
        value: an argument of a later call, or the output.
        before: the moment of its use.
    """
    if not isinstance(value, (str, list, dict)) or not value:
        return
    for place in range(len(run.thoughts) - 1, -1, -1):
        thought = run.thoughts[place]
        if thought.at >= before or thought.calls or not thought.text:
            continue
        if isinstance(value, str) and thought.text.strip() == value.strip():
            yield Used(place, None)
        answer = answered(thought.text)
        if answer is GONE:
            continue
        for path, inside in steps(answer):
            if path and equal(inside, value):
                yield Used(place, path)


def model_state(
    thoughts: Sequence[Thought], known: Sequence[Mapping[str, Any]], parsed: bool = False
) -> Llm | None:
    """The model call that these are, one of each run; None: they have no template in common.

    Args:
        thoughts: of each run the call.
        known: of each run what was known before it, by path from a variable on.
        parsed: its answer is read as JSON.
    """
    asked = [_asked(thought) for thought in thoughts]
    if any(one is None for one in asked):
        return None
    prompts = [one[0] for one in asked if one]
    systems = [one[1] for one in asked if one]
    prompt, system = template(prompts, known), template(systems, known)
    if prompt is None or system is None:
        return None
    models = {thought.model for thought in thoughts}
    return Llm(
        prompt=prompt,
        system=system or None,
        schema=_schema(thoughts) if parsed else None,
        model=models.pop() if len(models) == 1 else None,
        parameters={
            name: value
            for name, value in thoughts[0].parameters.items()
            if name in ("temperature", "top_p", "max_tokens", "seed")
            and all(equal(one.parameters.get(name), value) for one in thoughts)
        },
    )


def _asked(thought: Thought) -> tuple[str, str] | None:
    """The one message that was put to the model, and its instructions; None for a conversation."""
    texts: list[str] = []
    for message in thought.prompt:
        parts = cast("list[dict[str, Any]]", message.get("parts") or [])
        if message.get("role") != "user" or any(part.get("type") != "text" for part in parts):
            return None
        texts.append("\n".join(str(part.get("content", "")) for part in parts))
    return ("\n\n".join(texts), thought.system or "") if texts else None


def template(texts: Sequence[str], known: Sequence[Mapping[str, Any]]) -> str | None:
    """A text with bindings that is each of these texts where its run's values are known; None: there is none.

    Args:
        texts: of each run one.
        known: of each run what was known, by path from a variable on.
    """
    paths = [path for path in known[0] if all(path in run for run in known)] if known else []
    values = {path: [_said(run[path]) for run in known] for path in paths}
    usable = [
        path
        for path, said in values.items()
        if all(len(one) >= LEAST and one in text for one, text in zip(said, texts, strict=True))
        and (len(texts) == 1 or len(set(said)) > 1)  # the same in all runs, it is part of the text
    ]
    usable.sort(key=lambda path: (-min(map(len, values[path])), path.count(".") + path.count("["), len(path)))
    pieces: list[list[str | tuple[str, ...]]] = [[text] for text in texts]
    for path in usable:
        for run, said in zip(pieces, values[path], strict=True):
            _cut(run, said, path)
    shapes = {json.dumps(run) for run in pieces}
    if len(shapes) != 1:
        return None
    return "".join(_piece(piece) for piece in pieces[0])


def _said(value: Any) -> str:
    """A value as a template puts it into a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(run: list[str | tuple[str, ...]], said: str, path: str) -> None:
    """Put a binding in the place of every occurrence, in what is text yet."""
    at = 0
    while at < len(run):
        piece = run[at]
        if isinstance(piece, str) and said in piece:
            head, _, tail = piece.partition(said)
            run[at : at + 1] = [one for one in (head, (path,), tail) if one]
            at += bool(head)
        at += 1


def _piece(piece: str | tuple[str, ...]) -> str:
    if isinstance(piece, tuple):
        return f"{{{{ {piece[0]} }}}}"
    return piece.replace("{{", '{{ "{{" }}')


def _schema(thoughts: Sequence[Thought]) -> dict[str, Any] | None:
    """The schema that the answers were asked for in; else what they have in common."""
    asked = thoughts[0].parameters.get("response_format") or thoughts[0].parameters.get("schema")
    if isinstance(asked, Mapping):
        held: Any = cast("Mapping[str, Any]", asked)
        for key in ("json_schema", "schema"):
            held = held.get(key, held) if isinstance(held, Mapping) else held
        if isinstance(held, Mapping) and "properties" in held:
            return dict(cast("Mapping[str, Any]", held))
    answers = [answered(thought.text) for thought in thoughts]
    if not all(isinstance(answer, dict) for answer in answers):
        return {"type": "array"} if all(isinstance(answer, list) for answer in answers) else None
    first = cast("dict[str, Any]", answers[0])
    shared = [
        name for name in first if all(value_at(answer, (name,), GONE) is not GONE for answer in answers)
    ]
    return {"type": "object", "required": shared}


def is_written(values: Sequence[Any], texts: Sequence[str]) -> bool:
    """Whether values that nothing explains are words of a model's own: sentences that stand in no text before them."""
    if not values or not all(isinstance(value, str) and len(value.split()) >= WORDS for value in values):
        return False
    heard = " ".join(" ".join(texts).casefold().split())
    return not any(" ".join(str(value).casefold().split()) in heard for value in values)


def asking(
    goal: str,
    tool: str,
    argument: str,
    known: Mapping[str, str],
    schema: Mapping[str, Any] | None = None,
) -> Llm:
    """A model call for an argument that only a model can write; nothing that one was before stands in it.

    Args:
        goal: what the playbook is for.
        tool: whose call the text is for.
        argument: its argument that the text is.
        known: names of what is known, to bindings without their braces.
        schema: JSON Schema of the argument, if its tool has one.
    """
    lines = [f"Goal: {goal}" if goal else "", f"Write the argument `{argument}` of a call of `{tool}`."]
    if known:
        lines.append("What is known:")
        lines += [f"- {name}: {{{{ {binding} }}}}" for name, binding in known.items()]
    lines.append(f'Answer with a JSON object that has one key, "{argument}".')
    inner = dict(schema or {"type": "string"})
    answer = {
        "type": "object",
        "properties": {argument: inner},
        "required": [argument],
        "additionalProperties": False,
    }
    return Llm(prompt="\n".join(line for line in lines if line), schema=answer)
