"""Registered tools as the vendors take them, and the calls that a model's answer asks for, made and told back."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanreel
from spanreel.exceptions import SpanreelError
from spanreel.instrument import describing
from spanreel.instrument.typed import Schemas, Unfit, typed
from spanreel.replay.load import load


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclasses.dataclass
class Parcel:
    weight: float
    size: Size = Size.SMALL
    inside: list[Parcel] = dataclasses.field(default_factory=list)


class Place(TypedDict):
    city: str
    zip: NotRequired[str]


class Payment(pydantic.BaseModel):
    amount: int = pydantic.Field(ge=1)
    note: str | None = None


@spanreel.tool(name="ship_schemas")
def ship(
    parcel: Parcel,
    to: Place,
    when: dt.date,
    how: Literal["air", "sea"] = "air",
    tags: list[str] | None = None,
    limit: Annotated[int, "at most so many", pydantic.Field(ge=1, le=9)] = 3,
) -> str:
    """Ship a parcel.

    It goes the same day.

    Args:
        parcel: what is sent,
            with all that is inside.
        to (Place): where to: the city.
        when: the day.
        how: by which way.
        tags: what is written on it.
        limit: of nothing in particular.

    Returns:
        A sentence.
    """
    assert isinstance(parcel, Parcel)
    assert isinstance(when, dt.date)
    return f"{parcel.size.name} to {to['city']} by {how} on {when} ({limit}, {tags})"


@spanreel.tool(name="pay_schemas", safety="irreversible")
def pay(payment: Payment) -> dict[str, Any]:
    """Pay.

    :param payment: how much
    """
    return {"paid": payment.amount}


@spanreel.tool(name="fail_schemas", safety="read")
def fail(why: str) -> None:
    raise LookupError(why)


@spanreel.tool(name="wait_schemas", safety="read")
async def wait(seconds: float, **more: int) -> float:
    await asyncio.sleep(0)
    return seconds + sum(more.values())


@spanreel.tool(name="get_weather_schemas", safety="read")
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@spanreel.tool(name="get_weather", safety="read")
def paris(city: str) -> str:
    """As the model server of the tests asks for it."""
    return get_weather(city)


GOOD = {
    "parcel": {"weight": 2, "size": "l", "inside": [{"weight": 1}]},
    "to": {"city": "Bonn"},
    "when": "2026-03-01",
}
TOOLS = [ship, pay, fail, wait]


def schema_of(tool: Any) -> dict[str, Any]:
    return spanreel.tool_schemas("anthropic", [tool])[0]["input_schema"]


def openai(*calls: tuple[str, Any]) -> dict[str, Any]:
    made = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls, 1)
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def said(*calls: tuple[str, Any]) -> list[str]:
    return [one["content"] for one in spanreel.apply_tool_calls(openai(*calls), tools=TOOLS)]


@pytest.fixture(autouse=True)
def of_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools are known by name in a process, and other files have declared one called `get_weather`."""
    from spanreel.instrument import tools

    for one in (get_weather, paris):
        known: Any = vars(one)["__spanreel__"]
        monkeypatch.setitem(tools._declared, known.name, known)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Path]:
    store = tmp_path / "spans.db"
    spanreel.instrument(store=store)
    yield store
    spanreel.uninstrument()


def test_a_signature_becomes_a_schema() -> None:
    """Types, defaults, literals, enums, dataclasses, typed dicts, models and Annotated limits are in the schema."""
    schema = schema_of(ship)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["parcel", "to", "when"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["how"] == {
        "type": "string",
        "enum": ["air", "sea"],
        "description": "by which way.",
        "default": "air",
    }
    assert properties["limit"] == {
        "type": "integer", "description": "at most so many", "minimum": 1, "maximum": 9, "default": 3,
    }  # fmt: skip
    assert properties["parcel"]["properties"]["size"] == {"type": "string", "enum": ["s", "l"]}
    assert properties["parcel"]["properties"]["inside"]["items"] == {"$ref": "#/$defs/Parcel"}
    assert properties["to"]["required"] == ["city"]
    assert properties["when"] == {"type": "string", "format": "date", "description": "the day."}
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, "parcel": {"weight": 1, "inside": [{"size": "s"}]}}, schema)
    assert schema_of(pay)["properties"]["payment"]["properties"]["amount"] == {
        "minimum": 1, "title": "Amount", "type": "integer",
    }  # fmt: skip


def test_a_docstring_becomes_descriptions() -> None:
    """What stands before the sections is the tool's; each argument has its own, over several lines too."""
    found = spanreel.tool_schemas("anthropic", [ship])[0]
    assert found["description"] == "Ship a parcel.\n\nIt goes the same day."
    properties = found["input_schema"]["properties"]
    assert properties["parcel"]["description"] == "what is sent, with all that is inside."
    assert properties["to"]["description"] == "where to: the city."
    assert schema_of(pay)["properties"]["payment"]["description"] == "how much"


@pytest.mark.parametrize("dialect", describing.DIALECTS)
def test_every_dialect_carries_the_same_tool(dialect: str) -> None:
    """Name, description and schema are where the vendor's API has them."""
    found = spanreel.tool_schemas(dialect, [get_weather])[0]
    inner = {
        "openai": lambda: (found["function"], "parameters"),
        "openai-responses": lambda: (found, "parameters"),
        "anthropic": lambda: (found, "input_schema"),
        "bedrock": lambda: ({**found["toolSpec"], "json": found["toolSpec"]["inputSchema"]["json"]}, "json"),
        "gemini": lambda: (found["functionDeclarations"][0], "parametersJsonSchema"),
    }[dialect]()
    assert inner[0]["name"] == "get_weather_schemas"
    assert inner[0]["description"] == "The weather of a city."
    assert inner[0][inner[1]]["properties"] == {"city": {"type": "string"}}


def test_what_cannot_be_described_is_refused() -> None:
    """A dialect or a tool that does not exist, and a name that the API does not take, are one line each."""
    with pytest.raises(SpanreelError, match="no dialect 'cobol'"):
        spanreel.tool_schemas("cobol")
    with pytest.raises(SpanreelError, match="'nothing_schemas' is registered"):
        spanreel.tool_schemas(tools=["nothing_schemas"])
    spaced = spanreel.tool(name="a tool schemas")(lambda: None)
    try:
        with pytest.raises(SpanreelError, match="takes no tool of the name 'a tool schemas'"):
            spanreel.tool_schemas("openai", [spaced])
    finally:
        from spanreel.instrument import tools

        del tools._declared["a tool schemas"]


def test_arguments_arrive_as_the_types_that_the_tool_declares() -> None:
    """JSON becomes dataclasses, enums, dates and models; the result is the message."""
    arguments = json.dumps(GOOD | {"limit": 2.0})
    assert said(("ship_schemas", arguments)) == ["LARGE to Bonn by air on 2026-03-01 (2, None)"]
    assert said(("pay_schemas", {"payment": {"amount": 3}})) == ['{"paid":3}']


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("ship_schemas", "{", "Error: the arguments of ship_schemas are not JSON"),
        ("ship_schemas", "[1]", "Error: the arguments of ship_schemas are not an object"),
        ("ship_schemas", {}, "Error: parcel is missing; to is missing; when is missing"),
        ("ship_schemas", {**GOOD, "hue": 1}, "Error: there is no hue; there are: parcel, to, when, how, tags, limit"),
        ("ship_schemas", {**GOOD, "how": "road"}, "Error: how: 'road' is none of 'air', 'sea'"),
        ("ship_schemas", {**GOOD, "limit": "3"}, "Error: limit: '3' is no integer"),
        ("ship_schemas", {**GOOD, "limit": 10}, "Error: limit: 10 is outside of its maximum 9"),
        ("ship_schemas", {**GOOD, "when": "soon"}, "Error: when: 'soon' is no date"),
        ("ship_schemas", {**GOOD, "tags": [1]}, "Error: tags[0]: 1 is no string"),
        ("ship_schemas", {**GOOD, "to": {}}, "Error: to: city is missing"),
        ("pay_schemas", {"payment": {"amount": 0}}, "Error: payment: 1 validation error"),
        ("no_such", {}, "Error: there is no tool no_such; there are: ship_schemas, pay_schemas"),
        ("fail_schemas", {"why": "gone"}, "Error: LookupError: gone"),
    ],
)  # fmt: skip
def test_what_a_model_gets_wrong_is_told_to_it(name: str, arguments: Any, expected: str) -> None:
    """An unknown tool, a missing, unknown or ill-typed argument, and the tool's own failure are result messages."""
    assert said((name, arguments))[0].startswith(expected)


def test_arguments_nested_without_end_are_told_to_the_model() -> None:
    """They are a result message like any other mistake of it."""
    parcel: dict[str, Any] = {"weight": 1}
    for _ in range(20_000):
        parcel = {"weight": 1, "inside": [parcel]}
    assert said(("ship_schemas", {**GOOD, "parcel": parcel}))[0].startswith("Error: ")


def test_an_async_tool_is_awaited_or_refused() -> None:
    """The sync call names the async one; that one makes the call, with what the tool takes besides."""
    asked = openai(("wait_schemas", {"seconds": 1, "a": 2}))
    with pytest.raises(SpanreelError, match="aapply_tool_calls"):
        spanreel.apply_tool_calls(asked, tools=TOOLS)
    assert asyncio.run(spanreel.aapply_tool_calls(asked, tools=TOOLS))[0]["content"] == "3.0"
    wrong = openai(("wait_schemas", {"seconds": 1, "a": "2"}))
    assert "a: '2' is no integer" in asyncio.run(spanreel.aapply_tool_calls(wrong, tools=TOOLS))[0]["content"]


def test_bedrock_and_gemini_answers_are_applied() -> None:
    """Converse's toolUse and Gemini's functionCall become results in their own form; failures are marked."""
    calls = [("t1", "pay_schemas", {"payment": {"amount": 2}}), ("t2", "fail_schemas", {"why": "no"})]
    blocks = [{"toolUse": {"toolUseId": i, "name": n, "input": a}} for i, n, a in calls]
    response = {"output": {"message": {"role": "assistant", "content": [{"text": "Hm."}, *blocks]}}}
    assert spanreel.apply_tool_calls(response) == [
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"paid": 2}}], "status": "success"}},
                {"toolResult": {"toolUseId": "t2", "content": [{"text": "Error: LookupError: no"}], "status": "error"}},
            ],
        }
    ]  # fmt: skip
    parts = [{"text": "Hm."}, *({"functionCall": {"id": i, "name": n, "args": a}} for i, n, a in calls)]
    found = spanreel.apply_tool_calls({"candidates": [{"content": {"role": "model", "parts": parts}}]})
    assert [one["functionResponse"]["response"] for one in found[0]["parts"]] == [
        {"paid": 2},
        {"error": "LookupError: no"},
    ]


def test_an_answer_without_calls_asks_for_nothing() -> None:
    """Text alone gives no messages, in each dialect; what is no answer is refused."""
    for message in (
        {"role": "assistant", "content": "Hi"},
        {"output": [{"type": "message", "content": []}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
        {"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}]},
    ):
        assert spanreel.apply_tool_calls(message) == []
    with pytest.raises(SpanreelError, match="no tool calls can be read from int"):
        spanreel.apply_tool_calls(3)


def test_a_call_is_recorded_under_the_models_id_and_replays(recording: Path) -> None:
    """The tool span carries the vendor's id; a tool that it calls itself does not; a replay runs no body."""

    @spanreel.agent
    def asking() -> list[Any]:
        answer = openai(("get_weather", {"city": "Rome"}), ("pay_schemas", {"payment": {"amount": 7}}))
        return [one["content"] for one in spanreel.apply_tool_calls(answer, tools=["get_weather", pay])]

    before = asking()
    spanreel.uninstrument()
    run = load(store=recording)
    ids = {(call.tool_name, call.tool_call_id) for call in run.tool_calls}
    assert ids == {("get_weather", "call_1"), ("get_weather_schemas", None), ("pay_schemas", "call_2")}
    with spanreel.replaying(run.run_id) as execution:
        assert asking() == before
    assert (execution.verdict.verdict, execution.verdict.effects.live) == ("exact", 0)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of every dialect, which asks for the weather in Paris."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "replay"))
    with importlib.import_module("provider_server").ProviderServer() as server:
        yield server
    sys.modules.pop("provider_server", None)


def test_openais_sdk_takes_the_schemas_and_the_results(provider: Any) -> None:
    """Chat and responses: a whole turn with the SDK's own objects."""
    sdk = pytest.importorskip("openai")
    with sdk.OpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        tools = spanreel.tool_schemas("openai", [paris])
        first = client.chat.completions.create(model="m", messages=messages, tools=tools)
        results = spanreel.apply_tool_calls(first, tools=[paris])
        assert results == [{"role": "tool", "tool_call_id": "call_1", "content": "sunny in Paris"}]
        messages += [first.choices[0].message, *results]
        last = client.chat.completions.create(model="m", messages=messages, tools=tools)
        assert last.choices[0].message.content == "It is sunny in Paris."
        asked: list[Any] = [{"role": "user", "content": "Weather?"}]
        tools = spanreel.tool_schemas("openai-responses", [paris])
        response = client.responses.create(model="m", input=asked, tools=tools)
        asked += [*response.output, *spanreel.apply_tool_calls(response)]
        assert client.responses.create(model="m", input=asked).output_text == "It is sunny in Paris."


def test_anthropics_sdk_takes_the_schemas_and_the_results(provider: Any) -> None:
    """A whole turn with the SDK's own objects."""
    sdk = pytest.importorskip("anthropic")
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    with sdk.Anthropic(api_key="k", base_url=provider.url) as client:
        tools = spanreel.tool_schemas("anthropic", [paris])
        first = client.messages.create(model="m", max_tokens=99, messages=messages, tools=tools)
        messages += [{"role": "assistant", "content": first.content}, *spanreel.apply_tool_calls(first)]
        last = client.messages.create(model="m", max_tokens=99, messages=messages, tools=tools)
    assert last.content[0].text == "It is sunny in Paris."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_googles_sdk_takes_the_schemas_and_the_results(provider: Any) -> None:
    """A whole turn with the SDK's own objects; the declaration arrives with its JSON Schema."""
    sdk = pytest.importorskip("google.genai")
    client = sdk.Client(api_key="k", http_options={"base_url": provider.url})
    config = {
        "tools": spanreel.tool_schemas("gemini", [paris]),
        "automatic_function_calling": {"disable": True},
    }
    contents: list[Any] = [{"role": "user", "parts": [{"text": "Weather?"}]}]
    first = client.models.generate_content(model="m", contents=contents, config=config)
    contents += [first.candidates[0].content, *spanreel.apply_tool_calls(first)]
    last = client.models.generate_content(model="m", contents=contents, config=config)
    assert last.text == "It is sunny in Paris."
    declared = provider.asked[0][2]["tools"][0]["functionDeclarations"][0]
    schema = (
        declared.get("parametersJsonSchema") or declared["parameters_json_schema"]
    )  # as the SDK spells it
    assert schema["required"] == ["city"]
    client.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
TYPES = [
    Parcel,
    Place,
    Payment,
    Size,
    dt.date,
    int | None,
    list[int],
    dict[str, float],
    tuple[int, str],
    Literal["a", 1],
]


@pytest.mark.parametrize("kind", TYPES)
@given(value=JSON)
def test_any_value_fits_or_is_refused(kind: Any, value: Any) -> None:
    """No JSON value ends in another error than `Unfit`; what is taken fits the schema that the model was given."""
    schemas = Schemas()
    schema = schemas.of(kind) | {"$defs": schemas.defs}
    try:
        typed(kind, value)
    except Unfit:
        return
    if kind is not Payment:  # pydantic reads a text as a number; its schema says a number only
        jsonschema.validate(value, schema)


@given(answer=JSON | st.fixed_dictionaries({"tool_calls": JSON}) | st.fixed_dictionaries({"content": JSON}))
def test_any_answer_is_read_or_refused(answer: Any) -> None:
    """What is no model's answer ends in one clear error, or in results."""
    try:
        spanreel.apply_tool_calls(answer, tools=TOOLS)
    except SpanreelError:
        return
