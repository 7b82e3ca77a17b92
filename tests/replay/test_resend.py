"""Call-level replay: recorded model calls asked again at real servers, without their agent, and the answers compared."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import anthropic
import jsonschema
import openai
import pytest
from provider import KEY, Provider, record

import spanreel
from spanreel.cli.app import main
from spanreel.cli.schemas import json_schema
from spanreel.collector import files
from spanreel.collector.store import open_reader, open_writer
from spanreel.exceptions import NotReplayable, SpanreelError, UnknownRun
from spanreel.replay.child import replay_run
from spanreel.replay.load import graded, load
from spanreel.replay.policy import Budget, Overrides
from spanreel.replay.resend import resend

EMITTERS = Path(__file__).parent.parent / "recordings" / "emitters"


@pytest.fixture
def imported(store: Path) -> Callable[[str], None]:
    """Puts a file of another emitter into the store."""

    def put(name: str) -> None:
        with open_writer(store) as writer:
            for spans in files.read(EMITTERS / name):
                writer.add(spans)

    return put


def test_the_recorded_body_is_sent_again(provider: Provider) -> None:
    """Each call goes out as it was recorded; equal answers are the same; the new run says whose calls it has."""
    source = record(provider, "one", "two")
    found = resend(source)
    assert [one["messages"][0]["content"] for one in provider.asked] == ["one", "two"]
    assert all(one["temperature"] == 0.5 for one in provider.asked)
    assert [(one.step, one.verdict, one.grade) for one in found.calls] == [
        (1, "same", "exact"),
        (2, "same", "exact"),
    ]
    assert (found.source_run_id, found.grade, found.verdicts, found.exit_code) == (
        source,
        "exact",
        {"same": 2},
        0,
    )
    again = load(found.run_id)
    assert (again.source_run_id, len(again.steps), again.steps[0].source) == (source, 2, "live")
    assert graded(found.run_id)[1].line == "semantic (no spanreel.run.entry)"
    assert [step.span_id for step in again.steps] == [one.span_id for one in found.calls]


def test_overrides_reach_the_request_and_the_answers_are_compared(provider: Provider) -> None:
    """Another model, system prompt and temperature for every call; words are diffed."""
    source = record(provider, "one")
    found = resend(
        source, overrides=Overrides({"model": "gpt-5-mini", "instructions": "Be brief.", "temperature": None})
    )
    (sent,) = provider.asked
    assert (sent["model"], sent["messages"][0], "temperature" in sent) == (
        "gpt-5-mini",
        {"role": "system", "content": "Be brief."},
        False,
    )
    (call,) = found.calls
    assert call.verdict == "reworded"
    assert call.text_diff == "answer of gpt-[-4o-]{+5+}-mini"
    assert (call.recorded.model, call.given.model) == ("gpt-4o-mini", "gpt-5-mini")
    assert call.given.tokens.total_tokens == 1100
    assert found.first_difference == call


def test_one_step_alone(provider: Provider) -> None:
    """Only that one is asked; a step that is no model call is refused by name."""
    source = record(provider, "one", "two", "three")
    found = resend(source, step=2)
    assert [one.step for one in found.calls] == [2]
    assert [one["messages"][0]["content"] for one in provider.asked] == ["two"]
    with pytest.raises(NotReplayable, match=r"step 9 .* those are: 1, 2, 3"):
        resend(source, step=9)


def test_overrides_of_a_step_are_for_that_step(provider: Provider) -> None:
    """The others are asked as they were."""
    source = record(provider, "one", "two")
    found = resend(source, overrides=Overrides(steps={2: {"model": "other"}}))
    assert [one["model"] for one in provider.asked] == ["gpt-4o-mini", "other"]
    assert [one.verdict for one in found.calls] == ["same", "reworded"]


def test_tool_calls_are_compared_by_structure(provider: Provider) -> None:
    """Ids do not matter, arguments do: the differing path is named; calls that come or go are told apart."""
    provider.says = lambda number, body: [("look", {"city": "Paris", "days": [1, 2]}), ("pay", {"amount": 5})]
    source = record(provider, "go")
    same = resend(source)
    assert [one.verdict for one in same.calls] == ["same"]
    provider.says = lambda number, body: [("look", {"city": "Paris", "days": [1, 3]}), ("send", {})]
    (call,) = resend(source).calls
    assert call.verdict == "different tool calls"
    assert [(one.relation, one.name, one.paths) for one in call.tool_changes] == [
        ("changed", "look", ["$.days[1]"]),
        ("removed", "pay", []),
        ("added", "send", []),
    ]


def test_streams_are_asked_unstreamed(provider: Provider, server) -> None:
    """What was streamed is asked whole, which is said; the answer is compared all the same."""
    instrumented = spanreel.instrument()
    with openai.OpenAI(base_url=f"{server.url}/v1") as client, spanreel.run("asker") as run:
        messages = [{"role": "user", "content": "hello"}]
        for _ in client.chat.completions.create(
            model="m-1", messages=messages, stream=True, stream_options={"include_usage": True}
        ):
            pass
    instrumented.flush()
    spanreel.uninstrument()
    provider.says = lambda number, body: "answer 1 to hello "
    (call,) = resend(run.run_id).calls
    assert (call.verdict, call.notes) == ("same", ["asked without streaming"])
    assert not {"stream", "stream_options"} & provider.asked[0].keys()


def test_the_key_is_sent_and_never_recorded(provider: Provider, store: Path) -> None:
    """It is in the request's headers, and in no file of the store."""
    source = record(provider, "one")
    resend(source)
    assert provider.headers[0]["authorization"] == f"Bearer {KEY}"
    with open_reader(store) as reader:
        for run in reader.runs():
            assert KEY not in repr(reader.spans(run.trace_id))
    assert not any(KEY.encode() in path.read_bytes() for path in store.parent.rglob("*") if path.is_file())


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_is_an_error_of_that_call(provider: Provider, status: int) -> None:
    """It is not retried, what the provider said is kept, the other calls go on, and the exit code is 1."""
    source = record(provider, "one", "two")
    provider.says = lambda number, body: (
        status if body["messages"][-1]["content"] == "one" else "answer of gpt-4o-mini"
    )
    found = resend(source)
    assert [one.verdict for one in found.calls] == ["error", "same"]
    assert f"scripted {status}" in (found.calls[0].given.error or "")
    assert (len(provider.asked), found.exit_code) == (2, 1)


def test_overload_is_retried_and_recorded_as_attempts(provider: Provider) -> None:
    """Two failures and an answer are one step of three attempts."""
    source = record(provider, "one")
    provider.says = lambda number, body: 529 if number < 3 else "answer of gpt-4o-mini"
    found = resend(source)
    assert found.verdicts == {"same": 1}
    assert [step.attempts for step in load(found.run_id).steps] == [3]


def test_nobody_at_home_is_an_error_of_the_call(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be made is told, and recorded."""
    source = record(provider, "one")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        monkeypatch.setattr("spanreel.replay.asking.RETRIES", 0)
        (call,) = resend(source).calls
    assert call.verdict == "error"
    assert "ConnectionError" in (call.given.error or "")


def test_a_recorded_failure_that_is_answered_now(provider: Provider) -> None:
    """It is neither the same nor an error."""
    provider.says = lambda number, body: 500
    with pytest.raises(openai.InternalServerError):
        record(provider, "one")
    spanreel.uninstrument()
    provider.says = lambda number, body: "fine"
    (call,) = resend("last").calls
    assert (call.verdict, call.given.text) == ("answered", "fine")
    assert call.recorded.error


def test_budgets_stop_cleanly(provider: Provider) -> None:
    """What was asked until then is there, what was not is listed with the reason, and nothing more is sent."""
    source = record(provider, "one", "two", "three")
    found = resend(source, budget=Budget(calls=2))
    assert ([one.step for one in found.calls], [one.step for one in found.not_sent]) == ([1, 2], [3])
    assert "2 live model calls" in (found.stopped or "")
    assert (len(provider.asked), found.exit_code) == (2, 1)
    pytest.importorskip("genai_prices")
    dear = resend(source, budget=Budget(cost=Decimal("0.0000001")))
    assert [one.step for one in dear.calls] == [1]
    assert dear.spent is not None
    assert Decimal(dear.spent.cost or 0) > 0
    assert load(dear.run_id).status == "completed"


def test_time_that_is_up_ends_a_call_that_hangs(provider: Provider) -> None:
    """It is an error of that call; the next one is not made."""
    source = record(provider, "one", "two")
    released = threading.Event()
    provider.says = lambda number, body: "late" if released.wait(20) else "never"
    found = resend(source, budget=Budget(seconds=3))
    released.set()
    assert [one.verdict for one in found.calls] == ["error"]
    assert "Timeout" in (found.calls[0].given.error or "")
    assert ([one.step for one in found.not_sent], len(provider.asked)) == ([2], 1)


def test_a_missing_key_is_one_clear_line(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is sent, and no run is made of it."""
    source = record(provider, "one")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SpanreelError, match=r"no key .*OPENAI_API_KEY"):
        resend(source)
    assert load("last").run_id == source
    assert provider.asked == []


def test_content_goes_to_no_other_party_in_silence(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that went to a host of no provider is not sent to the provider's public URL, nor a key to the recorded host."""
    source = record(provider, "one")
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(SpanreelError, match=r"127\.0\.0\.1.*OPENAI_BASE_URL"):
        resend(source)
    assert provider.asked == []


def test_what_is_taken_out_is_not_put_in(provider: Provider) -> None:
    """A parameter that is not there stays out, however deep its name is."""
    source = record(provider, "one")
    resend(source, overrides=Overrides({"history.name": None, "response_format.schema": None, "seed": None}))
    assert set(provider.asked[0]) == {"model", "messages", "temperature"}


def test_a_given_answer_is_refused(provider: Provider) -> None:
    """There would be nothing to ask."""
    with pytest.raises(SpanreelError, match="asks nobody"):
        resend(record(provider, "one"), overrides=Overrides(responses={1: "no"}))


def test_a_messages_function_makes_the_history(provider: Provider) -> None:
    """It is given GenAI messages and gives those that are sent."""
    source = record(provider, "one")
    more = {"role": "user", "parts": [{"type": "text", "content": "and be quick"}]}
    resend(source, overrides=Overrides(messages=lambda messages: [*messages, more]))
    assert [one["content"] for one in provider.asked[0]["messages"]] == ["one", "and be quick"]


def test_an_unknown_run_is_said(store: Path, provider: Provider) -> None:
    """As everywhere."""
    record(provider, "one")
    with pytest.raises(UnknownRun):
        resend("nothing")


@pytest.mark.parametrize("name", ["openinference-openai-0.1.66.json", "mlflow-3.17.2-otlp.json"])
def test_an_emitter_that_keeps_the_arguments_of_the_sdk_is_asked_with_them(
    provider: Provider, imported, store: Path, name: str
) -> None:
    """The request is theirs, field by field, without what is the SDK's own."""
    imported(name)
    with open_reader(store) as reader:
        run = next(one.run_id for one in reversed(reader.runs()))
    provider.says = lambda number, body: "It is rainy."
    found = resend(run)
    assert found.grade == "semantic"
    assert found.calls[0].grade == "semantic"
    sent = provider.asked[0]
    assert (sent["model"], sent["messages"][-1]["role"]) == ("gpt-4o-mini", "user")
    assert "stream" not in sent


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("pydantic-ai-2.68.0-v5.json", "/v1/chat/completions"),
        ("vercel-ai-sdk-7.0.173-genai.json", "/v1/chat/completions"),
        ("otel-genai-openai-agents-1.3b0.json", "/v1/responses"),
        ("ms-agent-framework-1.23.0-latest.json", "/v1/chat/completions"),
        ("strands-1.62.0-latest.json", "/v1/chat/completions"),
        ("openinference-langchain-0.1.80.json", "/v1/chat/completions"),
        ("DUPLICATES-anthropic-native-plus-otel-instrumentor.json", "/v1/messages"),
        ("otel-genai-anthropic-1.3b0.json", "/v1/messages"),
        ("google-adk-2.13.0-v2.json", "/v1beta/models/gemini-2.5-flash:generateContent"),
    ],
)
def test_a_run_of_another_emitter_is_asked_from_its_messages(
    provider: Provider, imported, name: str, path: str
) -> None:
    """System prompt, history, tools and model are in the request; the recorded answer is the same again."""
    imported(name)
    provider.says = lambda number, body: (
        "It is rainy in Paris, 57F." if "57F" in json.dumps(body) else [("get_weather", {"city": "Paris"})]
    )
    found = resend("last")
    assert {one.verdict for one in found.calls} <= {"same", "different tool calls"}
    assert found.calls[-1].verdict == "same"
    assert set(provider.paths) == {path}
    assert all("Be brief." in json.dumps(one) and "get_weather" in json.dumps(one) for one in provider.asked)
    assert all(one.notes for one in found.calls)


def test_a_call_that_can_only_be_viewed_is_named(provider: Provider, imported, store: Path) -> None:
    """Asking for it says which attribute is missing; with the tools given it can be asked."""
    imported("anthropic-sdk-native-2.12.0.json")
    with open_reader(store) as reader:
        run = reader.runs()[-1].run_id
    with pytest.raises(NotReplayable, match=r"gen_ai\.tool\.definitions.*--set tools=@FILE"):
        resend(run)
    provider.says = lambda number, body: [("get_weather", {"city": "Paris"})]
    tools = [
        {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    ]
    (call,) = resend(run, overrides=Overrides({"tools": tools})).calls
    assert call.given.tool_calls[0].arguments == {"city": "Paris"}


def test_another_providers_model_is_asked_in_its_own_words(provider: Provider) -> None:
    """`model=anthropic/…` sends the recorded OpenAI call as an Anthropic one; so does a dialect with a model."""
    source = record(provider, "one")
    provider.says = lambda number, body: "answer of gpt-4o-mini"
    found = resend(source, overrides=Overrides({"model": "anthropic/claude-sonnet-4-5"}))
    assert provider.paths[-1] == "/v1/messages"
    assert (provider.asked[-1]["model"], provider.headers[-1]["x-api-key"]) == ("claude-sonnet-4-5", KEY)
    assert [(one.verdict, one.given.dialect) for one in found.calls] == [("same", "anthropic.messages")]
    resend(source, overrides=Overrides({"model": "claude-sonnet-4-5"}), target_dialect="anthropic.messages")
    assert provider.paths[-1] == "/v1/messages"
    with pytest.raises(SpanreelError, match="which model"):
        resend(source, target_dialect="anthropic.messages")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("responses/gpt-5", "/v1/responses"),
        ("gemini/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("openai/gpt-5", "/v1/chat/completions"),
    ],
)
def test_every_dialect_can_be_asked(provider: Provider, model: str, path: str) -> None:
    """A recorded chat call with tools is asked in it, and the tool call it answers with is the same."""
    provider.says = lambda number, body: [("look", {"city": "Paris"})]
    look = {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    source = record(provider, "go", tools=[look])
    found = resend(source, overrides=Overrides({"model": model}))
    assert (provider.paths[-1], found.verdicts) == (path, {"same": 1})
    assert "look" in json.dumps(provider.asked[-1])


def test_an_anthropic_run_is_asked_again(provider: Provider) -> None:
    """With the version header, and the recorded body."""
    instrumented = spanreel.instrument()
    with anthropic.Anthropic() as client, spanreel.run("asker") as run:
        client.messages.create(
            model="claude-sonnet-5-5", max_tokens=50, messages=[{"role": "user", "content": "one"}]
        )
    instrumented.flush()
    spanreel.uninstrument()
    (call,) = resend(run.run_id).calls
    assert (call.verdict, provider.headers[-1]["anthropic-version"]) == ("same", "2023-06-01")


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """`spanreel replay …` in this process: exit code, stdout, stderr."""
    monkeypatch.setattr("sys.argv", ["spanreel", "replay", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_line_asks_calls_again(
    provider: Provider, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`replay --calls`, all of them or one, as text and as JSON that fits its schema; progress goes to stderr."""
    source = record(provider, "one", "two")
    code, out, err = shown(capsys, monkeypatch, source, "--calls")
    assert (code, out.splitlines()[0], err.splitlines()) == (
        0,
        "2 of 2 calls answered the same",
        ["step 1: same", "step 2: same"],
    )
    code, out, _ = shown(
        capsys, monkeypatch, source, "--calls", "--step", "2", "--set", "model=other", "--json"
    )
    found = json.loads(out)
    jsonschema.validate(found, json_schema("resent"))
    assert (code, [(one["step"], one["verdict"]) for one in found["calls"]]) == (0, [(2, "reworded")])
    assert provider.asked[-1]["model"] == "other"
    code, out, _ = shown(capsys, monkeypatch, source, "--calls", "--max-calls", "1")
    assert (code, "step 2 was not asked" in out) == (1, True)


def test_the_command_line_takes_samples(provider: Provider, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """`replay --samples K --live`: the word on the first line, and as the exit code."""
    source = record(provider, "one")
    code, out, _ = shown(capsys, monkeypatch, source, "--samples", "4", "--live", "--set", "model=other")
    assert (code, out.splitlines()[0]) == (4, "outside the spread")
    code, out, _ = shown(
        capsys, monkeypatch, source, "--samples", "3", "--step", "1", "--set", "model=other", "--json"
    )
    assert (code, json.loads(out)["spread"]["verdict"]) == (1, "cannot tell")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--calls", "--respond", "1=no"], "--respond is for an agent"),
        (["--samples", "4", "--allow-tool", "pay"], "--allow-tool is for an agent"),
        (["--samples", "4", "--step", "1", "--step", "2", "--set", "a=1"], "more than one step"),
    ],
)
def test_options_that_contradict_each_other(
    provider: Provider, capsys, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """One line, exit code 2, and nothing is sent."""
    source = record(provider, "one")
    code, _, err = shown(capsys, monkeypatch, source, *words)
    assert (code, provider.asked) == (2, [])
    assert said in err


def test_a_run_that_asked_calls_again_has_no_agent_to_replay(provider: Provider, store: Path) -> None:
    """Its recorded program is spanreel itself, which would go out to the provider once more."""
    source = record(provider, "one")
    line = [sys.executable, "-m", "spanreel", "replay", source, "--calls", "--json"]
    made = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)["run_id"]
    asked = len(provider.asked)
    with pytest.raises(NotReplayable, match="no agent to run"):
        replay_run(store, made)
    with pytest.raises(SpanreelError, match="which a replay does not let happen"), spanreel.replaying(source):
        resend(source)
    assert len(provider.asked) == asked
