"""Parameters that only occur in free text: one model call reads them, and what it says is checked against the text."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
import shadow_shop as shop
from hypothesis import given
from hypothesis import strategies as st
from shop_model import ShopModel
from test_dispatch import kept

import spanreel
from spanreel.replay.load import load
from spanreel.replay.playbooks.body import Param
from spanreel.replay.playbooks.dispatching.dispatch import dispatch
from spanreel.replay.playbooks.dispatching.extracting import NotExtracted, checked, stands_in

GOAL = "Exchange an item"
TASK = "Please exchange the red item of order W1 for i-black."


@pytest.fixture(autouse=True)
def recording() -> Iterator[spanreel.Instrumentation]:
    """Recording is on until the test ends; nothing has fired."""
    shop.fired.clear()
    yield spanreel.instrument()
    spanreel.uninstrument()


def reading(server: ShopModel):
    """A model that is asked with the real SDK."""

    def model(prompt: str, system: str | None, schema: object) -> str:
        with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
            messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
            answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        return answer.choices[0].message.content

    return model


def agent(goal: str) -> str:
    """The agent."""
    return "the agent did it"


def test_a_text_is_read_by_one_counted_model_call():
    """Its values are the parameters; the call is a run of its own, and what it used comes off what was saved."""
    kept(report={"savings": {"model_calls": 4.0, "tokens": 1000.0, "cost": None, "seconds": None}})
    with ShopModel(lambda _: json.dumps({"order_id": "W1", "new_item": "i-black"})) as server:
        found = dispatch(GOAL, TASK, agent, agent="shelf", model=reading(server))
    assert (found.by, found.status) == ("playbook", "completed")
    assert len(server.asked) == 1
    assert shop.fired[-1] == ("shelf_exchange", {"order_id": "W1", "old": "i-red", "new": "i-black"})
    assert found.extracted is not None
    assert found.saved is not None
    used = load(found.extracted.run_id).tokens.total_tokens
    assert used
    assert (found.saved.model_calls, found.saved.tokens) == (3, 1000 - used)


def test_a_model_by_its_name_is_asked_and_recorded(monkeypatch: pytest.MonkeyPatch):
    """``provider/name``: a request of our own to the provider's base URL."""
    kept()
    with ShopModel(lambda _: json.dumps({"order_id": "W1", "new_item": "i-black"})) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        found = dispatch(GOAL, TASK, agent, agent="shelf", model="openai/gpt-4o-mini")
    assert (found.by, found.status, found.reason) == ("playbook", "completed", None)
    assert found.extracted is not None
    assert [step.kind for step in load(found.extracted.run_id).steps] == ["llm"]
    assert found.extracted.tokens


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"order_id": "W2", "new_item": "i-black"}', "order_id is not in the task"),
        ('{"order_id": "order one", "new_item": "i-black"}', "order_id does not fit"),
        ('{"order_id": null, "new_item": "i-black"}', "does not say order_id"),
        ("I cannot tell", "JSON"),
        ("[]", "object"),
    ],
)
def test_what_a_model_says_is_not_believed(said: str, why: str):
    """The agent does the task; no tool was called."""
    kept()
    with ShopModel(lambda _: said) as server:
        found = dispatch(GOAL, TASK, agent, agent="shelf", model=reading(server))
    assert found.reason is not None
    assert (found.by, found.reason.code) == ("agent", "extract_failed")
    assert shop.fired == []
    with pytest.raises(NotExtracted, match=why):
        checked(shop.body(), ["order_id", "new_item"], TASK, said)


@pytest.mark.parametrize(
    ("value", "text", "there"),
    [
        ("W1", "order W1.", True),
        ("W1", "order W12", False),
        ("w1", "order W1", True),
        (12.5, "pay 12.50 now", True),
        (12, "pay 1,2 or 112", False),
        (["W1", "W2"], "W1 and W2", True),
        (["W1", "W3"], "W1 and W2", False),
        ("a calm tone", "be nice", True),
        ("a@b.c", "write to a@b.com", False),
        (True, "", True),
    ],
)
def test_what_names_something_stands_in_the_text_as_a_word(value: object, text: str, there: bool):
    """Ids, numbers and addresses; wording of the model's own need not."""
    assert stands_in(value, Param(), text) is there


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.text())
def test_no_answer_of_a_model_is_more_than_refused(answer: object, text: str):
    """Whatever it says: values that fit, or `NotExtracted`."""
    try:
        found = checked(shop.body(), ["order_id"], text, {"order_id": answer})
    except NotExtracted:
        return
    assert found["order_id"].lower() in text.lower()
