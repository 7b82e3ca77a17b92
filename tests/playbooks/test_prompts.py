"""Model calls that stay in a playbook: their prompts as templates, and words that only a model can write."""

from __future__ import annotations

from typing import Any

from spanreel.replay.playbooks.binding import bind
from spanreel.replay.playbooks.compiling.observed import Observed, Thought
from spanreel.replay.playbooks.compiling.prompts import (
    asking,
    is_written,
    model_state,
    template,
    used,
)


def thought(prompt: str, text: str, *, system: str | None = None, at: int = 10, **parameters: Any) -> Thought:
    """A model call with one message."""
    message = {"role": "user", "parts": [{"type": "text", "content": prompt}]}
    return Thought(
        at, "t:s", system, (message,), text, (), "openai/gpt-4o", parameters, None, None, None, None
    )


def observed(*thoughts: Thought) -> Observed:
    """A run of model calls."""
    return Observed("r", None, None, (), (), thoughts, None, True)


def test_a_template_gives_every_prompt_back() -> None:
    """Values that differ between the runs become bindings; the rendered template is each prompt to the letter."""
    known = [
        {"params.name": "Ada", "doc": {"title": "On engines", "n": 3}, "doc.title": "On engines"},
        {"params.name": "Bob", "doc": {"title": "Of mice", "n": 4}, "doc.title": "Of mice"},
    ]
    texts = [
        f"Dear {{{{x}}}} {run['params.name']}, sum up {run['doc.title']!r} for {run['params.name']}."
        for run in known
    ]
    found = template(texts, known)
    assert found is not None
    for text, run in zip(texts, known, strict=True):
        variables = {"params": {"name": run["params.name"]}, "doc": run["doc"]}
        assert bind(found, variables) == text


def test_prompts_that_differ_in_something_unknown_have_no_template() -> None:
    """What nothing explains is not guessed."""
    assert (
        template(["Sum up A at 10:31", "Sum up B at 10:32"], [{"params.x": "A"}, {"params.x": "B"}]) is None
    )


def test_a_call_whose_words_were_used_becomes_a_state() -> None:
    """Its prompt, instructions, model and parameters are the recorded ones."""
    notes = ("first long note", "second long note")
    thoughts = [
        thought(f"Sum up: {note}", f"sum of {note}", system="Be brief.", temperature=0) for note in notes
    ]
    (found,) = used(observed(thoughts[0]), "sum of first long note", 20)
    assert (found.thought, found.binding("summary")) == (0, "{{ summary }}")
    state = model_state(thoughts, [{"note": note} for note in notes])
    assert state is not None
    assert (state.prompt, state.system, state.model, state.parameters) == (
        "Sum up: {{ note }}",
        "Be brief.",
        "openai/gpt-4o",
        {"temperature": 0},
    )


def test_a_field_of_a_json_answer_is_found() -> None:
    """An answer that is JSON is used by path, fenced or not."""
    for text in ('{"to": ["ann@example.com"]}', '```json\n{"to": ["ann@example.com"]}\n```'):
        (found,) = used(observed(thought("Who?", text)), "ann@example.com", 20)
        assert found.binding("who") == "{{ who.to[0] }}"


def test_a_call_that_chose_a_tool_is_not_used() -> None:
    """Words beside a tool call, and words said later, are not where a value came from."""
    asked = Thought(10, "t:s", None, (), "same words", ("call_1",), None, {}, None, None, None, None)
    assert not list(used(observed(asked), "same words", 20))
    assert not list(used(observed(thought("?", "same words", at=30)), "same words", 20))


def test_sentences_that_stand_nowhere_were_written() -> None:
    """A sentence of the model's own needs a model; what the user said, or a single word, does not."""
    own = "Customer is unhappy about a late parcel."
    assert is_written([own, "She wants her money back now."], ["where is it"])
    assert not is_written([own], [f"Please note: {own}"])
    assert not is_written(["#W123"], [])


def test_asking_names_what_is_known_and_wants_one_key() -> None:
    """The prompt has the goal and bindings of what is known; the answer is an object with the argument."""
    llm = asking("close a ticket", "close_ticket", "summary", {"ticket": "ticket.title"})
    assert llm.schema_ is not None
    assert llm.schema_["required"] == ["summary"]
    said = bind(llm.prompt, {"ticket": {"title": "No light"}})
    assert "close a ticket" in said
    assert "- ticket: No light" in said
