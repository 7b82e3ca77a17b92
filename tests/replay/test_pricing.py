"""Cost from the optional price list: the right provider, the price of the day, None for what is not known."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from spanreel.replay import pricing
from spanreel.wire.records import Record
from spanreel.wire.usage import Usage

MILLION = Usage(input=1_000_000, output=1_000_000)


def call(
    provider: str | None, model: str | None, usage: Usage = MILLION, day: str = "2026-11-01", **more: str
) -> Record:
    """A model call on a day."""
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9
    return Record(
        "t",
        "s",
        None,
        "chat",
        start,
        start + 1,
        kind="llm",
        provider=provider,
        model=model,
        usage=usage,
        **more,
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("azure.ai.openai", "gpt-4o"),
        ("anthropic", "claude-3-5-sonnet-20241022"),
        ("gcp.gemini", "models/gemini-2.0-flash"),
        ("gcp.gen_ai", "gemini-2.0-flash"),
        ("gcp.vertex_ai", "gemini-2.0-flash"),
        ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("mistral_ai", "mistral-large-latest"),
        ("x_ai", "grok-3"),
        (None, "openai/gpt-4o"),
    ],
)
def test_the_names_of_the_conventions_find_their_prices(provider: str | None, model: str) -> None:
    """Each provider name of the conventions leads to a price above nothing."""
    cost = pricing.price(call(provider, model))
    assert cost is not None
    assert Decimal(cost) > 0


def test_a_small_model_is_not_priced_as_its_big_sister() -> None:
    """The longest name that fits decides."""
    assert pricing.price(call("openai", "gpt-4o-mini")) == "0.75"


def test_the_price_is_that_of_the_day() -> None:
    """o3 cost five times as much when it came out."""
    assert pricing.price(call("openai", "o3", day="2025-05-01")) == "50"
    assert pricing.price(call("openai", "o3", day="2026-11-01")) == "10"


def test_cached_tokens_cost_less() -> None:
    """The input count includes cached tokens; they are not paid twice."""
    usage = Usage(input=1_000_000, output=0, cache_read=1_000_000)
    assert Decimal(pricing.price(call("openai", "gpt-4o", usage)) or 0) == Decimal("1.25")


@pytest.mark.parametrize(
    "record",
    [
        call("ollama", "llama3"),
        call("openai", "no-such-model"),
        call("ibm.watsonx.ai", "granite"),
        call("openai", None),
        call("openai", "gpt-4o", Usage()),
        call("openai", "gpt-4o", Usage(input=1, output=1, cache_read=5)),
    ],
)
def test_what_is_not_known_has_no_price(record: Record) -> None:
    """Unknown models, missing counts, counts that contradict each other: None, never 0."""
    assert pricing.price(record) is None


def test_the_answering_model_is_priced_else_the_one_asked() -> None:
    """The response names the model that was paid for; where the list does not know it, the request's is taken."""
    assert pricing.price(call("openai", "gpt-4o", response_model="gpt-4o-mini-2024-07-18")) == "0.75"
    assert pricing.price(call("openai", "gpt-4o-mini", response_model="in-house")) == "0.75"


@pytest.mark.parametrize(
    ("told", "said"), [("1e-7", "0.0000001"), ("0.50", "0.50"), ("free", None), ("NaN", None), (None, None)]
)
def test_reported_costs_are_plain_decimals(told: str | None, said: str | None) -> None:
    """No exponents in what is printed, and nothing that is not a number."""
    assert pricing.reported(told) == said


def test_sums_are_exact() -> None:
    """Decimal arithmetic; nothing known is None, not 0."""
    assert pricing.total(["0.1", None, "0.2"]) == "0.3"
    assert pricing.total([None]) is None


def test_without_the_extra_nothing_is_priced_and_nothing_fails() -> None:
    """A process in which genai-prices cannot be found has no prices; it does not even try to import it."""
    code = (
        "import sys; sys.modules['genai_prices'] = None\n"
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'genai_prices' else find(name, *rest)\n"
        "from spanreel.replay import pricing\n"
        "from spanreel.wire.records import Record; from spanreel.wire.usage import Usage\n"
        "print(pricing.pricing_available(), pricing.price(Record('t', 's', None, 'c', 1, 2, kind='llm', model='gpt-4o',"
        " provider='openai', usage=Usage(1, 1))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False None"
