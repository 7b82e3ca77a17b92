"""The agent whose recordings are kept for ever in tests/recordings/format: it must not be changed."""

from __future__ import annotations

import dataclasses
import datetime as dt

import anthropic
import openai

import spanreel

ASK = [{"role": "user", "content": "Where is order W1? Grüße ✓"}]


@dataclasses.dataclass
class Order:
    """What a tool gives back, typed."""

    number: str
    due: dt.date


@spanreel.tool(safety="read")
def find_order(number: str) -> Order:
    """The order; must not run in a replay."""
    if spanreel_may_not_run:
        raise AssertionError("the body of a tool ran")
    return Order(number, dt.date(2026, 12, 24))


@spanreel.tool
def cancel(number: str) -> None:
    """It fails."""
    raise LookupError(f"no order {number}")


spanreel_may_not_run = True


def run(base_url: str) -> list[object]:
    """Two dialects, whole and streamed, a failure that was retried and one that was not, tools."""
    said: list[object] = []
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="k") as client:
        said.append(
            client.chat.completions.create(model="gpt-4.1-mini", messages=ASK).choices[0].message.content
        )
        stream = client.chat.completions.create(model="gpt-4.1-mini", messages=ASK, stream=True)
        said.append("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
        said.append(client.responses.create(model="gpt-4.1-mini", input="hi").output_text)
        try:
            client.with_options(max_retries=0).chat.completions.create(model="gone", messages=ASK)
        except openai.NotFoundError as error:
            said.append(error.status_code)
    said.append(find_order("W1"))
    try:
        cancel("W2")
    except LookupError as error:
        said.append(str(error))
    with anthropic.Anthropic(base_url=base_url, api_key="k") as client:
        said.append(
            client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=ASK).content[0].text
        )
    return said


SAID = [
    "Hello wörld",
    "Hello wörld",
    "Hello wörld",
    404,
    Order("W1", dt.date(2026, 12, 24)),
    "no order W2",
    "Hello wörld",
]
