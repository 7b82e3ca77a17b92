"""What a model call costs, from the price list of the optional `pricing` extra. Never the network.

The list (genai-prices) is imported on first use, because it takes half a second. A model or provider that
it does not know has no price: None, never 0. What an emitter reported itself goes before all this.
"""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.wire.records import Record
    from spanreel.wire.usage import Usage

REMEDY = "pip install 'spanreel[pricing]'"

# The names of the GenAI conventions where the price list has another one, or reads it wrongly.
PROVIDERS = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "x_ai": "x-ai",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "aws.bedrock": "aws",
}


@lru_cache(maxsize=1)
def pricing_available() -> bool:
    """Whether the price list is installed."""
    return importlib.util.find_spec("genai_prices") is not None


def price(record: Record) -> str | None:
    """The cost of a model call in US dollars as a decimal string, None where it is not known.

    The price is the one of the day of the call. The response's model is priced, else the request's.
    """
    if not pricing_available() or not record.usage:
        return None
    day = max(0, record.start_ns) // 86_400_000_000_000
    for model in dict.fromkeys((record.response_model, record.model)):
        cost = _price(record.provider, model, record.usage, day) if model else None
        if cost is not None:
            return cost
    return None


def reported(cost: str | None) -> str | None:
    """A cost that an emitter reported, without an exponent; None for what is not a finite number."""
    try:
        amount = None if cost is None else Decimal(cost)
    except InvalidOperation:
        return None
    return format(amount, "f") if amount is not None and amount.is_finite() else None


def total(costs: Sequence[str | None]) -> str | None:
    """The sum of the costs that are known, None when none is."""
    known = [Decimal(cost) for cost in costs if cost is not None]
    return format(sum(known, Decimal(0)), "f") if known else None


@lru_cache(maxsize=4096)
def _price(provider: str | None, model: str, usage: Usage, day: int) -> str | None:
    import genai_prices  # pyright: ignore[reportMissingImports] - an extra, not everybody has it

    counts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
    }
    reference = model.removeprefix("models/")
    if provider is None:
        reference = reference.rpartition("/")[2]
    try:
        calculation = genai_prices.calc_price(
            genai_prices.Usage(**{name: count for name, count in counts.items() if count is not None}),
            reference,
            provider_id=PROVIDERS.get(provider, provider) if provider else None,
            genai_request_timestamp=datetime.fromtimestamp(day * 86_400, UTC),
        )
    except (LookupError, ValueError, OverflowError):  # not in the list, or counts that contradict each other
        return None
    return format(calculation.total_price.normalize(), "f")
