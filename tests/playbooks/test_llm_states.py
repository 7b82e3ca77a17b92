"""Model states: a real request to a provider on loopback, recorded, served again, its answer held to the schema."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "replay"))

from provider import Provider

import spanreel
from spanreel.exceptions import SpanreelError
from spanreel.replay.load import load
from spanreel.replay.playbooks.asks import Misfit
from spanreel.replay.playbooks.engine.answers import answered, issues, placeholder

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def book(model: str | None, **keys: object) -> spanreel.Playbook:
    llm = {
        "prompt": "Where is {{ params.who }}?",
        "system": "Be brief.",
        "schema": SCHEMA,
        "parameters": {"temperature": 0},
    }
    states = {"ask": {"llm": {**llm, **({"model": model} if model else {})}, "save_as": "answer", **keys}}
    body = {
        "name": "where",
        "params": {"who": {}},
        "initial": "ask",
        "states": states,
        "output": "{{ answer.city }}",
    }
    return spanreel.Playbook.load(body)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch):
    with Provider() as server:
        server.says = lambda number, body: 'It is here: {"city": "Bern"}.'
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        monkeypatch.setenv("GROQ_BASE_URL", f"{server.url}/v1")
        for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ"):
            monkeypatch.setenv(f"{name}_API_KEY", "k")
        recording = spanreel.instrument()
        yield server
        recording.uninstrument()


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o-mini",
        "responses/gpt-4o-mini",
        "anthropic/claude-sonnet-4-5",
        "google/gemini-2.5-flash",
        "groq/llama",
    ],
)
def test_every_provider_is_asked_in_its_own_words_and_the_call_is_replayed(
    provider: Provider, model: str
) -> None:
    """Prompt, instructions, schema and parameters are in the request; the answer is the first JSON value in its text."""
    playbook = book(model)
    result = playbook.run(who="Ann")
    assert (result.output, result.model_calls, len(provider.asked)) == ("Bern", 1, 1)
    sent = json.dumps(provider.asked[0])
    assert all(word in sent for word in ("Where is Ann?", "Be brief.", "JSON Schema", '"temperature": 0'))
    spanreel.instrument().flush()
    run = load(result.run_id)
    assert [(step.kind, step.model) for step in run.steps] == [("llm", model.partition("/")[2])]
    with spanreel.replaying(result.run_id) as execution:
        again = playbook.run(who="Ann")
    assert (again.output, execution.verdict.verdict, len(provider.asked)) == ("Bern", "exact", 1)
    assert execution.verdict.effects.recorded == 1


def test_it_is_the_same_in_async_code(provider: Provider) -> None:
    """Live and served, without holding up the loop."""
    playbook = book(None)
    result = asyncio.run(playbook.arun(who="Ann", model="openai/m"))
    assert result.output == "Bern"
    spanreel.instrument().flush()
    with spanreel.replaying(result.run_id) as execution:
        again = asyncio.run(playbook.arun(who="Ann", model="openai/m"))
    assert (again.output, execution.verdict.verdict, len(provider.asked)) == ("Bern", "exact", 1)


def test_an_answer_that_does_not_fit_is_a_failure_that_can_be_retried(provider: Provider) -> None:
    """The second answer fits; what was wrong with the first is on the state's span."""
    provider.says = lambda number, body: '{"town": "Bern"}' if number == 1 else '{"city": "Bern"}'
    result = book("openai/m").run(who="Ann")
    assert (result.failure.guard, result.failure.state) == ("expect", "ask")
    assert "'city' is a required property" in result.failure.reason
    provider.asked.clear()
    result = book("openai/m", retry={"max_attempts": 2}).run(who="Ann")
    assert (result.output, result.model_calls) == ("Bern", 2)
    spanreel.instrument().flush()
    events = [event for span in spans(result.run_id) for event in span.events]
    assert [event.name for event in events] == ["spanreel.parse_failed", "spanreel.retry"]
    assert events[0].attributes["stage"] == "schema_validate"
    assert events[0].attributes["issue_count"] == 1


def spans(run_id: str) -> list:
    from spanreel.collector.store import open_reader
    from spanreel.location import resolve_store

    with open_reader(resolve_store(None)) as reader:
        return list(reader.spans(reader.resolve(run_id).trace_id))


def test_a_provider_that_refuses_is_a_failed_call(provider: Provider) -> None:
    """Its status and words are the reason."""
    provider.says = lambda number, body: 429
    failure = book("openai/m").run(who="Ann").failure
    assert (failure.guard, "429" in failure.reason, "scripted" in failure.reason) == ("call", True, True)


def test_a_budget_in_money_stops_the_next_call(provider: Provider) -> None:
    """At the price list's prices; a model that nobody knows the price of is asked once, and no more."""
    pytest.importorskip("genai_prices")
    two = {"a": {"llm": {"prompt": "x"}, "next": "b"}, "b": {"llm": {"prompt": "y"}}}
    for model, budget, stopped in (("openai/gpt-4o-mini", 1.0, False), ("openai/gpt-4o-mini", 0.0000001, True), ("openai/nobodys-model", 1.0, True)):  # fmt: skip
        body = {"name": "two", "initial": "a", "states": two, "budget": {"max_cost": budget}}
        result = spanreel.Playbook.load(body).run(model=model)
        assert (result.status == "failed", result.model_calls) == (stopped, 1 if stopped else 2)


def test_a_function_may_answer_in_a_models_place() -> None:
    """With the value, or with a text that holds it; sync or async."""

    async def later(prompt: str, system: str | None, schema: dict | None) -> str:
        return '{"city": "Rome"}'

    assert (
        book("openai/m").run(who="A", model=lambda prompt, system, schema: {"city": prompt}).output
        == "Where is A?"
    )
    assert book(None).run(who="A", model=later).output == "Rome"
    assert asyncio.run(book(None).arun(who="A", model=later)).output == "Rome"


def test_a_model_that_is_not_named_right_is_a_failure_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no provider, no key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for model, said in (
        (None, "none is named"),
        ("gpt", "whose model"),
        ("nobody/gpt", "provider nobody"),
        ("openai/gpt", "OPENAI_API_KEY"),
    ):
        assert said in book(model).run(who="A").failure.reason


def test_a_judge_is_a_model_that_is_asked_and_counted(provider: Provider) -> None:
    """Its no stops, and it is within the budget."""
    state = {"tool": "llm_judged", "pre": [{"judge": "Is this polite?"}]}
    body = {"name": "judged", "initial": "t", "states": {"t": state}}
    for holds in (True, False):
        provider.says = lambda number, body, holds=holds: json.dumps({"holds": holds, "why": "so"})
        result = spanreel.Playbook.load(body).run(tools={"llm_judged": lambda: 1}, model="openai/m")
        assert (result.ok, result.model_calls) == (holds, 1)
    short = spanreel.Playbook.load({**body, "budget": {"max_calls": 0}}).run(
        tools={"llm_judged": lambda: 1}, model="openai/m"
    )
    assert (short.failure.guard, len(provider.asked)) == ("budget", 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"city": "a"}', {"city": "a"}),
        ('Sure!\n```json\n{"city": "a"}\n```', {"city": "a"}),
        ('{"no": 1} but {"city": "b"}', {"city": "b"}),
        ('a { brace, then {"city": "c"}', {"city": "c"}),
    ],
)
def test_the_first_value_that_fits_is_the_answer(text: str, value: dict) -> None:
    """Whatever stands around it."""
    assert answered(text, SCHEMA) == value


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("no", "json_extract"),
        ("{oh", "json_decode"),
        ('{"a": 1}', "schema_validate"),
        ("x" * 4_000_001, "response_limit"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told_by_stage(text: str, stage: str) -> None:
    """And what, in a line."""
    with pytest.raises(Misfit) as found:
        answered(text, SCHEMA)
    assert (found.value.stage, bool(found.value.issues)) == (stage, True)


@drawn(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_any_text_is_an_answer_or_a_misfit(text: str) -> None:
    """Nothing else comes out of a model's words."""
    with suppress(Misfit):
        assert issues(answered(text, SCHEMA), SCHEMA) == []


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2},
        {"enum": ["x", "y"]},
        {"type": "string", "minLength": 4},
        {"anyOf": [{"type": "null"}]},
    ],
)
def test_a_placeholder_fits_its_schema(schema: dict) -> None:
    """For dry runs."""
    assert issues(placeholder(schema), schema) == []


def test_no_model_is_named_is_an_error_of_ours() -> None:
    """It names what to give."""
    from spanreel.replay.playbooks.asks import Ask
    from spanreel.replay.playbooks.engine.asking import request

    with pytest.raises(SpanreelError, match="--model"):
        request(Ask("s", "p", None, None, None, {}), None)


def test_parameters_that_are_missing_are_read_out_of_the_task(provider: Provider) -> None:
    """By one counted model call, which is recorded; the run says which parameters it had, and replays."""
    provider.says = lambda number, body: '{"city": "Bern"}'
    states = {"t": {"tool": "llm_travel", "args": {"to": "{{ params.city }}"}}}
    body = {"name": "travel", "params": {"city": {}}, "extract": {}, "initial": "t", "states": states}
    playbook = spanreel.Playbook.load(body)
    options = {
        "task": "I want to go to Bern",
        "model": "openai/m",
        "tools": {"llm_travel": lambda to: f"in {to}"},
    }
    result = playbook.run(**options)
    assert (result.output, result.model_calls) == ("in Bern", 1)
    spanreel.instrument().flush()
    assert "I want to go to Bern" in json.dumps(provider.asked[0])
    root = next(one for one in spans(result.run_id) if one.parent_span_id is None)
    assert root.attributes["spanreel.playbook.params"] == '{"city":"Bern"}'
    with spanreel.replaying(result.run_id) as execution:
        assert playbook.run(**options).output == "in Bern"
    assert (execution.verdict.verdict, len(provider.asked)) == ("exact", 1)


def test_what_model_calls_have_in_common_is_said_once(provider: Provider) -> None:
    """`llm_defaults` is in each request unless its state says otherwise; `meta` is on the root of the run."""
    document = book(None).body.document()
    document |= {
        "llm_defaults": {"model": "openai/gpt-4o-mini", "temperature": 1, "seed": 7},
        "meta": {"owner": "ann", "ticket": {"id": 3}},
    }
    found = spanreel.Playbook.load(document).run(who="Ann")
    assert found.ok, found
    sent = provider.asked[-1]
    assert (sent["model"], sent["temperature"], sent["seed"]) == ("gpt-4o-mini", 0, 7)
    run = load(found.run_id)
    assert run.playbook is not None
    assert run.playbook.meta == {"owner": "ann", "ticket": {"id": 3}}


def test_a_model_without_its_provider_is_the_callers(provider: Provider) -> None:
    """Files that name only the model are asked where --model says; without it nobody knows whose it is."""
    assert book("gpt-4o-mini").run(who="Ann", model="groq/other").ok
    assert provider.asked[-1]["model"] == "gpt-4o-mini"
    failed = book("gpt-4o-mini").run(who="Ann")
    assert "does not say whose model it is" in str(failed.failure)
