"""The pytest plugin, in real runs of pytest: record once, replay from then on, and fail where it must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from commands import environment

pytest_plugins = ["pytester"]

ONE = """
import pytest
from agent import ask, lookup

@pytest.mark.spanreel
def test_order():
    assert ask("where is it?") == "Hello wörld"
    assert lookup("W1")["status"] == "sent"
"""


def test_importing_the_plugin_is_cheap() -> None:
    """Pytest loads it in every run of everybody who has spanreel installed: it imports pytest and nothing else."""
    code = (
        "import sys, pytest; before = set(sys.modules); import spanreel.replay.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(Path.cwd()), capture_output=True, text=True, check=True)  # fmt: skip
    ours = ["spanreel", "spanreel.replay", "spanreel.replay.testing", "spanreel.replay.testing.plugin"]
    assert done.stdout.split() == ours


def test_recorded_once_and_replayed_from_then_on(project) -> None:
    """The first run records beside the test; the second asks no model, runs no tool, and is told nothing new."""
    project.test(ONE)
    first = project.run()
    first.assert_outcomes(passed=1)
    assert "recorded recordings/test_agent/test_order.otlp.jsonl" in first.outlines
    assert project.recordings() == ["recordings/test_agent/test_order.otlp.jsonl"]
    assert (len(project.server.served), project.fired) == (1, 1)
    again = project.run("--spanreel-record=none")
    again.assert_outcomes(passed=1)
    assert "recorded recordings" not in again.stdout.str()
    assert (len(project.server.served), project.fired) == (1, 1)


def test_a_recording_says_nothing_of_where_and_when(project) -> None:
    """Recorded anew against the same answers, one line changes: the root's. No path, pid or time of the machine is in it."""
    project.test(ONE)
    project.run()
    file = project.path / project.recordings()[0]
    before = file.read_text("utf-8").splitlines()
    project.run("--spanreel-record=all").assert_outcomes(passed=1)
    after = file.read_text("utf-8").splitlines()
    assert before != after
    assert before[1:] == after[1:]
    assert str(project.path) not in file.read_text("utf-8")
    assert "process.pid" not in file.read_text("utf-8")
    spans = [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in after]
    assert [span["name"] for span in spans] == [
        "invoke_workflow test_order",
        "chat gpt-4.1-mini",
        "execute_tool lookup",
    ]


def test_a_miss_fails_the_test_that_swallows_it(project) -> None:
    """In `none` an agent that catches everything, signals too, does not hide what it did otherwise."""
    project.test(ONE)
    project.run()
    project.test(
        ONE.replace('    assert ask("where is it?") == "Hello wörld"', '    try:\n        ask("where was it?")\n    except BaseException:\n        pass')
    )  # fmt: skip
    result = project.run("--spanreel-record=none")
    result.assert_outcomes(failed=1)
    said = result.stdout.str()
    assert "the test left its recording recordings/test_agent/test_order.otlp.jsonl" in said
    assert "where [-is-]{+was+} it?" in said
    assert 'pytest --spanreel-record=all "test_agent.py::test_order"' in said
    assert len(project.server.served) == 1


def test_no_recording_is_one_clear_line(project) -> None:
    """In `none`, a test without its recording fails by naming the command that records it; one that asks nothing passes."""
    project.test(ONE + "\n@pytest.mark.spanreel\ndef test_nothing():\n    assert True\n")
    result = project.run("--spanreel-record=none")
    result.assert_outcomes(failed=1, passed=1)
    said = result.stdout.str()
    assert "there is no recording recordings/test_agent/test_order.otlp.jsonl" in said
    assert '→ pytest --spanreel-record=once "test_agent.py::test_order"' in said
    assert (len(project.server.served), project.fired) == (0, 0)
    assert project.recordings() == []


def test_a_failed_test_is_not_recorded(project) -> None:
    """What a failing test did is not kept, and in `all` the old file stays; `record_on_exception` keeps it."""
    project.test(ONE)
    project.run()
    file = project.path / project.recordings()[0]
    before = file.read_bytes()
    project.test(ONE.replace('"sent"', '"lost"'))
    result = project.run("--spanreel-record=all")
    result.assert_outcomes(failed=1)
    assert "not recorded, for the test failed: recordings/test_agent/test_order.otlp.jsonl" in result.outlines
    assert file.read_bytes() == before
    project.test(
        ONE.replace('"sent"', '"lost"').replace("mark.spanreel", "mark.spanreel(record_on_exception=True)")
    )
    project.run("--spanreel-record=all").assert_outcomes(failed=1)
    assert file.read_bytes() != before


def test_new_calls_are_added_to_what_is_recorded(project) -> None:
    """In `new`, recorded calls are served and the others go live and are appended; then all of it replays."""
    project.test(ONE)
    project.run()
    longer = ONE.replace(
        "    assert lookup", '    assert ask("and now?") == "Hello wörld"\n    assert lookup'
    )
    project.test(longer)
    result = project.run("--spanreel-record=new_episodes")
    result.assert_outcomes(passed=1)
    assert "recorded recordings/test_agent/test_order.otlp.jsonl" in result.outlines
    assert (len(project.server.served), project.fired) == (2, 1)
    project.run("--spanreel-record=none").assert_outcomes(passed=1)
    assert (len(project.server.served), project.fired) == (2, 1)
    file = project.path / project.recordings()[0]
    assert len(file.read_text("utf-8").splitlines()) == 4
    unchanged = file.read_bytes()
    project.run("--spanreel-record=new").assert_outcomes(passed=1)
    assert file.read_bytes() == unchanged


def test_calls_that_are_left_over(project) -> None:
    """They are a warning; with allow_unused=False a failure."""
    project.test(ONE)
    project.run()
    shorter = ONE.replace('    assert lookup("W1")["status"] == "sent"\n', "")
    project.test(shorter)
    result = project.run()
    result.assert_outcomes(passed=1, warnings=1)
    assert "UnusedRecording: recordings/test_agent/test_order.otlp.jsonl" in result.stdout.str()
    assert "step 2 (tool lookup)" in result.stdout.str()
    project.test(shorter.replace("mark.spanreel", "mark.spanreel(allow_unused=False)"))
    project.run().assert_outcomes(failed=1)


def test_a_call_that_is_used_up_is_a_miss(project) -> None:
    """Each recorded call answers once."""
    project.test(ONE)
    project.run()
    project.test(ONE.replace("    assert lookup", '    ask("where is it?")\n    assert lookup'))
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "asked again" in result.stdout.str()


def test_the_network_is_closed_in_a_replay(project) -> None:
    """Another connection of a replayed test is denied and fails it, even if swallowed."""
    project.test(ONE)
    project.run()
    project.test(
        ONE + "    import socket\n    try:\n        socket.create_connection(('192.0.2.1', 80), 1)\n    except BaseException:\n        pass\n"
    )  # fmt: skip
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "connect 192.0.2.1:80" in result.stdout.str()


MANY = """
import unittest
import openai, os, pytest
from agent import ask, lookup

@pytest.mark.spanreel
class TestGroup:
    def test_a(self):
        assert ask("a") == "Hello wörld"

    @pytest.mark.parametrize("word", ["b/c", "b c", "d"])
    def test_b(self, word, spanreel_recording):
        assert ask(word) == "Hello wörld"
        assert [step.kind for step in spanreel_recording.replay.steps] == ["llm"]

@pytest.mark.spanreel("kept/own.otlp.jsonl")
class TestCase(unittest.TestCase):
    def test_c(self):
        self.assertEqual(ask("c"), "Hello wörld")

def test_by_fixture(spanreel_recording, asked):
    assert asked == "Hello wörld"
    assert len(spanreel_recording.replay.steps) == 1

@pytest.fixture
def asked():
    return ask("in a fixture")

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.spanreel
async def test_async(spanreel_recording):
    async with openai.AsyncOpenAI(base_url=os.environ["MODEL_URL"] + "/v1", api_key="k") as client:
        messages = [{"role": "user", "content": "stream"}]
        stream = await client.chat.completions.create(model="m-1", messages=messages, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "Hello wörld"
    assert spanreel_recording.replay.content == text
"""


def test_every_kind_of_test(project) -> None:
    """Classes, parameters, unittest, fixtures and anyio: each has a file of its own, also under pytest-xdist."""
    project.test(MANY)
    project.run("-p", "xdist", "-p", "anyio", "-n", "2").assert_outcomes(passed=7)
    served = len(project.server.served)
    assert served == 7
    found = project.recordings()
    assert len(found) == 7
    assert "kept/own.otlp.jsonl" in found
    assert "recordings/test_agent/TestGroup.test_b-d.otlp.jsonl" in found
    project.run("-p", "anyio", "--spanreel-record=none").assert_outcomes(passed=7)
    assert len(project.server.served) == served


def test_pytest_asyncio(project) -> None:
    """Its tests run in a context of its own making; the calls are the test's all the same."""
    source = MANY.split("@pytest.mark.anyio")[1].replace(
        "@pytest.mark.spanreel", "@pytest.mark.asyncio\n@pytest.mark.spanreel"
    )
    project.test(f"import openai, os, pytest\n{source}")
    words = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
    project.run(*words).assert_outcomes(passed=1)
    project.run(*words, "--spanreel-record=none").assert_outcomes(passed=1)
    assert len(project.server.served) == 1


def test_code_that_instruments_itself(project) -> None:
    """A process that records already goes on recording where it said; the test's recording is made and replayed."""
    project.test(
        "import spanreel, os\nspanreel.instrument(store=os.environ['FIRED'] + '.db')\n" + ONE, "test_agent.py"
    )
    project.run().assert_outcomes(passed=1)
    project.run("--spanreel-record=none").assert_outcomes(passed=1)
    assert len(project.server.served) == 1
    assert Path(f"{project.path}/fired.db.spool").is_dir()


def test_what_is_said_wrongly(project) -> None:
    """An option, a mode or a file that makes no sense is one clear line."""
    project.test(
        "import pytest\n"
        "@pytest.mark.spanreel(recrod='none')\ndef test_name(): pass\n"
        "@pytest.mark.spanreel(record='twice')\ndef test_mode(): pass\n"
        "@pytest.mark.spanreel('broken.otlp.jsonl')\ndef test_file(): pass\n"
        "@pytest.mark.spanreel('later.otlp.jsonl')\ndef test_later(): pass\n"
    )
    (project.path / "broken.otlp.jsonl").write_text('{"resourceSpans": [', "utf-8")
    root = {"traceId": "1" * 32, "spanId": "2" * 16, "name": "r", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            "attributes": [{"key": "spanreel.recording.format", "value": {"intValue": "2"}}]}  # fmt: skip
    later = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "spanreel"}, "spans": [root]}]}]}
    (project.path / "later.otlp.jsonl").write_text(json.dumps(later) + "\n", "utf-8")
    result = project.run()
    result.assert_outcomes(errors=4)
    said = result.stdout.str()
    assert "spanreel has no option 'recrod' for tests" in said
    assert "there is no record mode 'twice'" in said
    assert "broken.otlp.jsonl:1: the JSON is cut off" in said
    assert "the recording has format 2, and this version reads up to 1" in said
