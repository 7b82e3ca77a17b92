"""`spanreel replay` and `spanreel fork` with a change, as users type them, against a server that is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, Done, environment
from programs import record

from spanreel.replay.load import load

AGENT = """
import json, os, openai, spanreel

client = openai.OpenAI(base_url=os.environ["MODEL_SERVER"] + "/v1", max_retries=0)

@spanreel.tool
def refund(order):
    with open("refunds.txt", "a") as book:
        book.write(order)
    return {"state": "refunded", "order": order}

messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": 'tool refund {"order": "7"}'}]
for _ in range(2):
    said = client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=1)
    messages.append(said.choices[0].message.model_dump(exclude_none=True))
    for call in said.choices[0].message.tool_calls or ():
        result = json.dumps(refund(**json.loads(call.function.arguments)))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
print(messages[-1]["content"])
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of a recorded run, and its id: a model call, a refund, a model call."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("SPANREEL_STORE", str(folder / "spans.db"))
        patch.chdir(folder)
        Path("agent.py").write_text(AGENT)
        record(sys.executable, "agent.py")
        return folder, load().run_id


@pytest.fixture
def run(recorded, monkeypatch):
    """The id of that run, in its folder, where nobody has refunded anything since."""
    folder, run_id = recorded
    monkeypatch.setenv("SPANREEL_STORE", str(folder / "spans.db"))
    monkeypatch.chdir(folder)
    (folder / "refunds.txt").unlink(missing_ok=True)
    return run_id


@pytest.fixture
def call(tmp_path, server):
    """`call("fork", run, "--at", "3")` runs the command with the server there."""

    def run_it(*words: str, **more: str) -> Done:
        environ = (
            environment(
                tmp_path, MODEL_SERVER=server.url, OPENAI_API_KEY="k", COLUMNS="80", TMPDIR=str(tmp_path)
            )
            | more
        )
        line = [sys.executable, "-m", "spanreel", *words]
        done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=60, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return run_it


def fired() -> bool:
    """Whether the tool's body has run."""
    return Path("refunds.txt").exists()


def test_overrides_reach_the_provider(run, call, server):
    """In every call, or in those of a step; the history is kept, and the tool's body does not run."""
    done = call("replay", run, "--set", "system=Be short.", "--set", "temperature=null", "--step", "3", "--set", "seed=7", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["effects"] == {"recorded": 1, "live": 2, "stub": 0, "denied": 0}
    assert done.json["spent_tokens"]["input_tokens"] == 6
    first, second = server.requests
    assert [one["role"] for one in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert first["messages"][0]["content"] == second["messages"][0]["content"] == "Be short."
    assert [one.get("seed") for one in (first, second)] == [None, 7]
    assert "temperature" not in first
    assert not fired()
    assert "models are live from the first call on" in done.err


def test_one_step_is_a_fork_at_it(run, call, server):
    """Recorded before it, live from it on; the fork is a run of its own that names its source and its step."""
    done = call("replay", run, "--step=3", "--set=seed=7", "--json")
    assert done.json["effects"]["recorded"] == 2
    assert [one["seed"] for one in server.requests] == [7]
    again = call("fork", run, "--at", "3", "--json").json
    assert again["effects"] == {"recorded": 2, "live": 1, "stub": 0, "denied": 0}
    forked = load(again["run_id"])
    assert (forked.source_run_id, forked.fork_step, len(forked.steps)) == (run, 3, 3)
    assert f"{run} at step 3" in call("show", again["run_id"]).out
    assert not fired()


def test_a_step_can_be_given_its_answer(run, call, server):
    """A tool's as JSON from a file; the model is asked with it."""
    Path("result.json").write_text('{"state": "no"}\n')
    done = call("fork", run, "--respond", "2=@result.json")
    assert done.code == 0, done.err
    assert json.loads(server.requests[-1]["messages"][-1]["content"]) == {"state": "no"}
    assert "1 given instead" in done.out
    assert "spanreel diff" in done.out


def test_a_model_step_is_answered_by_a_message_with_a_tool_call(run, call, server):
    """In the form that people know by heart; what is none is refused before anything runs."""
    said = (
        '{"tool_calls": [{"id": "c", "function": {"name": "refund", "arguments": "{\\"order\\": \\"8\\"}"}}]}'
    )
    done = call("fork", run, "--respond", f"1={said}", "--allow-tool", "refund")
    assert done.code == 0, done.err
    assert Path("refunds.txt").read_text() == "8"
    assert server.requests[-1]["messages"][-1]["tool_call_id"] == "c"
    refused = call("fork", run, "--respond", '1={"foo": 1}')
    assert (refused.code, refused.out) == (1, "")
    assert "is answered by a text, a message" in refused.err


def editor(code: str) -> dict[str, str]:
    """An editor that changes the document by a line of Python."""
    script = (
        "import json, pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ndoc = json.loads(file.read_text())\n"
    )
    Path("editor.py").write_text(f"{script}{code}\nfile.write_text(json.dumps(doc))")
    return {"EDITOR": f"{sys.executable} editor.py", "VISUAL": ""}


def test_a_request_can_be_edited(run, call, server):
    """What is sent at that step is what the user left; before it everything is recorded."""
    done = call("fork", run, "--edit", "3", **editor("doc['request']['messages'][0]['content'] = 'Be rude.'"))
    assert done.code == 0, done.err
    assert [one["messages"][0]["content"] for one in server.requests] == ["Be rude."]
    assert len(server.requests[0]["messages"]) == 4


def test_a_result_can_be_edited(run, call, server):
    """The tool's body does not run; the model sees the edited result."""
    done = call("fork", run, "--edit", "2", **editor("doc['result']['state'] = 'refused'"))
    assert done.code == 0, done.err
    assert "refused" in server.requests[-1]["messages"][-1]["content"]
    assert not fired()


@pytest.mark.parametrize(
    ("step", "code", "expected"),
    [
        ("2", "doc['arguments']['order'] = '8'", "`arguments` of step 2 cannot be edited"),
        ("3", "doc['recorded_answer'] = None", "`recorded_answer` of step 3 cannot be edited"),
        ("3", "doc['answer'] = 'x'; doc['request']['seed'] = 1", "would not be sent"),
        ("3", "doc['answer'] = 7", "neither text nor a message"),
        ("3", "doc['request'] = 7", "no JSON object any more"),
        ("2", "pass", "nothing was edited"),
        ("9", "pass", "no recorded call at step 9"),
        ("2", "sys.exit(3)", "ended with code 3"),
    ],
)
def test_edits_that_cannot_be_meant(run, call, server, step, code, expected):
    """One line, and nothing runs."""
    done = call("fork", run, "--edit", step, **editor(code))
    assert done.code in (1, 2)
    assert expected in done.err
    assert (done.err.count("\n"), done.out, server.requests) == (2, "", [])


def test_what_was_written_is_not_lost(run, call, server):
    """JSON that cannot be read stays where it is, and the command that takes it up again is named."""
    Path("editor.py").write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{\"step\": 2,')")
    done = call("fork", run, "--edit", "2", EDITOR=f"{sys.executable} editor.py", VISUAL="")
    assert done.code == 2
    kept = Path(done.err.split("=@")[1].strip())
    assert kept.read_text() == '{"step": 2,'
    kept.write_text('{"step": 2, "result": "mended"}')
    again = call("fork", run, "--edit", f"2=@{kept}")
    assert again.code == 0, again.err
    assert json.loads(server.requests[-1]["messages"][-1]["content"]) == "mended"
    kept.unlink()


def test_a_budget_stops_it(run, call, server):
    """Before the call that would go beyond it, and the command says so."""
    done = call("replay", run, "--live", "--max-calls", "1")
    assert (done.code, len(server.requests)) == (1, 1)
    assert "budget" in done.out


def test_a_tool_that_writes_needs_its_name(run, call, server):
    """Where nothing recorded answers it; a name that the run never called is remarked on."""
    Path("other.py").write_text(AGENT.replace('"7"', '"8"'))
    command = ("--", sys.executable, "other.py")
    assert call("fork", run, "--at", "1", *command).code == 1
    assert not fired()
    misspelt = call("fork", run, "--at", "1", "--allow-tool", "refnd", *command)
    assert "called no tool refnd; it called refund" in misspelt.err
    assert not fired()
    assert call("fork", run, "--at", "1", "--allow-tool", "refund", *command).code == 0
    assert Path("refunds.txt").read_text() == "8"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("replay", "--set", "temperature"), "there is no value"),
        (("replay", "--step", "x", "--set", "a=1"), "that is no step"),
        (("replay", "--step", "2"), "has no --set after it"),
        (("replay", "--step", "9", "--set", "a=1"), "has no step 9"),
        (("replay", "--set", "system=@nowhere"), "cannot be read"),
        (("replay", "--respond", "2"), "there is no answer"),
        (("replay", "--respond", "2=a", "--respond", "2=b"), "two things of step 2"),
        (("replay", "--stub", "--live"), "a dry run"),
        (("replay", "--max-cost", "much"), "is no limit"),
        (("replay", "--max-seconds", "nan"), "is no limit"),
        (("fork",), "where to fork is not said"),
        (("fork", "--at", "0"), "there is no step 0"),
        (("fork", "--at", "5"), "has no step 5"),
        (("fork", "--at", "3", "--respond", "2=x"), "before step 3"),
        (("fork", "--edit", "2=file"), "names no file"),
    ],
)
def test_options_that_cannot_be_meant(run, call, server, words, expected):
    """One line and the way out, exit code 2, and nothing runs."""
    done = call(words[0], run, *words[1:])
    assert (done.code, done.out, server.requests) == (2, "", []), done.err
    assert expected in done.err
    assert len(done.err.splitlines()) == 2


def test_the_ways_on_from_a_divergence_run_what_was_named(run, call):
    """Not what was recorded, where another command was given."""
    Path("other.py").write_text(Path("agent.py").read_text().replace("Be kind.", "Be cold."))
    done = call("replay", run, "--json", "--", "python", "other.py")
    assert done.code == 4
    ways = done.json["first_divergence"]["next"]
    assert all(way.endswith("-- python other.py") for way in ways), ways
    again = call(*ways[0].split()[1:])
    assert again.code == 0, again.err
