"""Programs recorded without a change to their code, and replayed in fresh processes with the server gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import ASK, NO_SERVER, ROOT, record, replay, verdict, write

from spanreel.collector.files import write_jsonl
from spanreel.collector.store import open_reader
from spanreel.exceptions import SpanreelError
from spanreel.replay.child import replay_run, run_command
from spanreel.replay.load import load
from spanreel.replay.policy import Policy


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Children find this source tree, and no server until a test starts one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MODEL_SERVER", NO_SERVER)
    monkeypatch.chdir(tmp_path)


def test_a_script_is_replayed_with_its_arguments_in_its_folder(tmp_path, monkeypatch):
    """Same output, from the recording alone, wherever it is replayed from; twice."""
    write(
        "agent.py",
        'print(sys.argv, os.getcwd(), __name__, sys.path[0])\nprint(said(sys.argv[1]))\nprint([c.model_dump() for c in ask("again", stream=True)])',
    )
    first = record(sys.executable, "agent.py", "hello")
    monkeypatch.chdir("/")
    for _ in range(2):
        outcome = replay(load("last").source_run_id or "last") if _ else replay()
        assert outcome.stdout == first
        assert (verdict(outcome).verdict, outcome.exit_code) == ("exact", 0)
    assert "['agent.py', 'hello']" in first
    assert f"__main__ {tmp_path}" in first


def test_the_replay_is_in_the_store(tmp_path):
    """Under the id that the verdict names, with the command it can be run again by."""
    write("agent.py", 'print(said("hello"))')
    record(sys.executable, "agent.py")
    source = load("last").run_id
    found = verdict(replay())
    assert found.source_run_id == source
    assert found.run_id == load("last").run_id != source
    again = verdict(replay(found.run_id))
    assert (again.verdict, again.source_run_id) == ("exact", found.run_id)


def test_a_file_of_spans_is_replayed_from_any_folder(tmp_path, monkeypatch):
    """A file named from where one stands is found by the process that runs in the recorded folder."""
    write("agent.py", 'print(said("hello"))')
    first = record(sys.executable, "agent.py")
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        spans = reader.spans(reader.runs()[0].trace_id)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_jsonl(spans, elsewhere / "run.otlp.jsonl")
    monkeypatch.chdir(elsewhere)
    outcome = replay("run.otlp.jsonl")
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact"), outcome.stderr


def test_a_changed_script_diverges_without_a_traceback(tmp_path):
    """The verdict names the step and the changed line; what the agent prints is all there is on its output."""
    write("agent.py", 'print(said("one"))\nprint(said("red"))')
    first = record(sys.executable, "agent.py")
    write("agent.py", 'print(said("one"))\ntry:\n    print(said("blue"))\nexcept Exception:\n    pass')
    outcome = replay()
    report = verdict(outcome).first_divergence
    assert report is not None
    assert (report.step, report.code_line, outcome.exit_code) == (2, f"{tmp_path}/agent.py:5", 4)
    assert report.nearest is not None
    assert report.nearest.words == "[-red-]{+blue+}"
    assert (outcome.stdout, outcome.stderr) == (first.splitlines(keepends=True)[0], "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("print(look(1))", "look(2)"),
        ("print(look(1))", "try:\n    look(2)\nexcept BaseException:\n    pass"),
        ("print(look(1))", "print('no call')"),
        ("shop()", "spanreel.agent(name='shop')(lambda: None)()"),
        ("import asyncio; asyncio.run(ashop())", "ashop = nothing; asyncio.run(ashop())"),
    ],
)
def test_a_replay_that_diverges_is_a_run_that_diverged(before, after):
    """However early or late it is found: the verdict names a run, and the store holds it with that status."""
    code = (
        "import spanreel, asyncio\n"
        "@spanreel.tool(safety='read')\ndef look(n):\n    return n\n"
        "@spanreel.agent(name='shop')\ndef shop(): return look(1)\n"
        "@spanreel.agent(name='shop')\nasync def ashop(): return look(1)\n"
        "@spanreel.agent(name='shop')\nasync def nothing(): return 1\n"
    )
    write("agent.py", code + before, "")
    record(sys.executable, "agent.py")
    source = load("last").run_id
    write("agent.py", code + after, "")
    outcome = replay()
    found = verdict(outcome)
    assert (found.verdict, outcome.exit_code) == ("diverged", 4)
    last = load("last")
    assert found.run_id == last.run_id != source
    assert (last.status, last.source_run_id) == ("diverged", source)


@pytest.mark.parametrize("body", ["pass", "look(1); look(2)"])
def test_an_agent_function_that_diverges_is_a_run_that_diverged(body):
    """Also where its run has ended before what it left out is known, and where it made no call at all."""
    code = "import spanreel\n@spanreel.tool(safety='read')\ndef look(n):\n    return n\n@spanreel.agent\nasync def shop():\n    {}\nif __name__ == '__main__':\n    import asyncio\n    asyncio.run(shop())\n"
    write("agent.py", code.format("look(1)"), "")
    record(sys.executable, "agent.py")
    write("agent.py", code.format(body), "")
    found = verdict(replay())
    last = load("last")
    assert (found.run_id, found.verdict, last.status) == (last.run_id, "diverged", "diverged")


@pytest.mark.parametrize("code", ['print(said("blue"))', "print()", 'said("red"), said("red")'])
def test_a_replay_that_diverged_is_a_run_that_says_so(code):
    """Whether it asked for something else, for too little or for too much: it is kept, and can be compared."""
    write("agent.py", 'print(said("red"))')
    record(sys.executable, "agent.py")
    write("agent.py", code)
    found = verdict(replay())
    newest = load("last")
    assert (newest.run_id, newest.status) == (found.run_id, "diverged")
    assert found.first_divergence is not None
    assert f"spanreel diff {found.source_run_id} {found.run_id}" in found.first_divergence.see


def test_another_command_can_be_named(tmp_path):
    """`-- CMD` answers from the recording whatever program asks."""
    write("agent.py", 'print(said("hello"))')
    first = record(sys.executable, "agent.py")
    write("other.py", 'print(said("hello"))')
    outcome = replay("last", sys.executable, "other.py")
    assert (outcome.stdout, outcome.exit_code) == (first, 0)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "agent"],
        ["-m", "package"],
        ["-X", "utf8", "-u", "agent.py"],
        ["-c", f"{ASK}\nprint(said('hello'), sys.argv)", "x"],
    ],
)
def test_however_python_was_started(command):
    """Modules, packages, options of the interpreter, code on the command line."""
    write("agent.py", 'print(said("hello"), sys.argv[1:], __spec__ and __spec__.name)')
    write("package/__main__.py", 'print(said("hello"), sys.argv[1:], __package__)')
    first = record(sys.executable, *command)
    assert "answer 1" in first
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact")


def test_a_console_script_is_run_by_its_own_file(tmp_path):
    """What the script's first line starts is what is recorded."""
    script = tmp_path / "bin" / "my-agent"
    write(str(script), 'print(said("hello"))')
    script.write_text(f"#!{sys.executable}\n{script.read_text()}")
    script.chmod(0o755)
    first = record(str(script))
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact")


def test_a_script_that_instruments_itself_says_how(tmp_path):
    """Its own rules for secrets hold when it is recorded and when it is replayed."""
    write(
        "agent.py",
        'import spanreel\nspanreel.instrument(redact={"keys": ["content"]})\nask("my password")\nprint("done")',
    )
    record(sys.executable, "agent.py")
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        spans = reader.spans(reader.runs()[0].trace_id)
    assert b"my password" not in b"".join(str(span.attributes).encode() for span in spans)
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == ("done\n", "equivalent")


def test_exit_codes_and_errors_of_the_recorded_run_are_no_failure(tmp_path):
    """A run that had failed replays to 0; a new failure is 1, with the agent's own traceback."""
    write("agent.py", 'said("one")\nsys.exit(7)')
    record(sys.executable, "agent.py", code=7)
    outcome = replay()
    assert (verdict(outcome).verdict, verdict(outcome).status, outcome.exit_code) == ("exact", "error", 0)
    write("agent.py", 'said("one")\nraise KeyError("new")')
    outcome = replay("last~1")
    assert (verdict(outcome).verdict, outcome.exit_code) == ("exact", 1)
    assert outcome.stderr is not None
    assert "KeyError: 'new'" in outcome.stderr
    assert "launch.py" not in outcome.stderr


def test_threads_that_outlive_the_script_are_waited_for(tmp_path):
    """The verdict is made when the last of them has ended."""
    write(
        "agent.py",
        'import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.3), print(said("late")))).start()',
    )
    first = record(sys.executable, "agent.py")
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict, verdict(outcome).effects.recorded) == (
        first,
        "exact",
        1,
    )


def test_all_runs_of_a_process_are_replayed_together(tmp_path):
    """A script with two runs makes both again."""
    write(
        "agent.py",
        'import spanreel\nfor name in "ab":\n    with spanreel.run(name):\n        print(said(name))\nprint(said("outside"))',
    )
    first = record(sys.executable, "agent.py")
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict, verdict(outcome).effects.recorded) == (
        first,
        "exact",
        3,
    )


AGENTS = """
import spanreel
@spanreel.agent
def plain(text: str, *, loud: bool = False):
    answer = said(text)
    print(answer, loud)
    return answer
@spanreel.agent
async def waiting(text, *more):
    print(said(text), more)
@spanreel.agent
def stepping(text):
    yield said(text)
    print(said(text + " more"))
    yield 2
def main():
    import asyncio
    calls = {"plain": lambda: plain("hello", loud=True), "waiting": lambda: asyncio.run(waiting("hello", 1, 2))}
    calls.get(sys.argv[1], lambda: list(stepping("hello")))()
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("name", ["plain", "waiting", "stepping"])
@pytest.mark.parametrize("start", ["agents.py", "start.py"])
def test_an_agent_function_is_called_with_its_recorded_inputs(name, start):
    """Sync, async and generators; of a script or of a module; nothing else of the program runs."""
    write("agents.py", AGENTS)
    write("start.py", "import agents\nagents.main()\nprint('not again', file=sys.stderr)")
    first = record(sys.executable, start, name)
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact"), outcome.stderr


OPTIONS = """
import dataclasses, spanreel
@dataclasses.dataclass
class Order:
    number: int
@spanreel.agent
def plain(order, depth=1, width=2, **more):
    print(said(str(order.number)), depth, width, more, type(order).__qualname__)
if __name__ == "__main__":
    plain(Order(7), width=5, note="x")
"""


@pytest.mark.parametrize("script", ["agents.py", "time.py"])
def test_every_argument_lands_where_it_was(script):
    """Left-out defaults, `**more`, and values of the script's own classes, whatever the script is called."""
    write(script, OPTIONS)
    first = record(sys.executable, script)
    assert "1 5 {'note': 'x'} Order" in first
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact"), outcome.stderr


def test_a_script_that_calls_its_agent_as_it_is_loaded():
    """Without a guard around the call the script is run again, so that the agent runs once and not twice."""
    write("agents.py", AGENTS.split("def main", maxsplit=1)[0] + '\nprint(plain("hello"))\n')
    first = record(sys.executable, "agents.py")
    outcome = replay()
    assert (outcome.stdout, verdict(outcome).verdict) == (first, "exact"), outcome.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: Path("retail.py").unlink(), "is gone"),
        (lambda: write("retail.py", "pass"), "no function plain"),
        (
            lambda: write("retail.py", AGENTS.replace("def plain(text: str", "def plain(prompt: str, other")),
            "cannot be called as it was recorded",
        ),
    ],
)
def test_an_agent_function_that_is_gone_is_one_clear_line(change, expected):
    """What is missing, and what to do instead."""
    write("retail.py", AGENTS)
    write("start.py", "import retail\nretail.main()")
    record(sys.executable, "start.py", "plain")
    change()
    source = load("last").run_id
    with pytest.raises(SpanreelError, match=expected) as raised:
        replay()
    assert "spanreel replay" in raised.value.remedy
    assert load("last").run_id == source  # nothing was begun


def test_a_script_or_a_folder_that_is_gone_is_one_clear_line(tmp_path, monkeypatch):
    """Nothing is started."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write("agent.py", 'said("hello")')
    record(sys.executable, "agent.py")
    Path("agent.py").unlink()
    with pytest.raises(SpanreelError, match=r"script of run .* is gone"):
        replay()
    monkeypatch.chdir(tmp_path)
    folder.rmdir()
    with pytest.raises(SpanreelError, match="which is gone"):
        replay()


def test_a_module_that_is_gone_is_one_clear_line(tmp_path):
    """Only the child can know; it says so in the same way."""
    write("agent.py", 'said("hello")')
    record(sys.executable, "-m", "agent")
    Path("agent.py").unlink()
    with pytest.raises(SpanreelError, match="no module agent"):
        replay()


def test_a_replay_that_takes_too_long_is_ended(tmp_path):
    """And said to have been."""
    write(
        "agent.py",
        'said("one")\nimport time\ntime.sleep(0 if "OPENAI_API_KEY" not in os.environ or os.environ["OPENAI_API_KEY"] == "k" else 60)',
    )
    record(sys.executable, "agent.py")
    outcome = replay_run(None, "last", echo="capture", timeout=1)
    assert (outcome.verdict, outcome.exit_code) == (None, 1)
    assert "longer than 1 s" in (outcome.problem or "")


def test_an_interrupt_reaches_the_program(tmp_path):
    """Ctrl-C is the child's, whose own handling decides; its exit code comes back."""
    write(
        "agent.py",
        'import time\nprint("ready", flush=True)\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(9)',
    )
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it
    code += (
        "from spanreel.replay.child import run_command; sys.exit(run_command([sys.executable, 'agent.py']))"
    )
    line = [sys.executable, "-c", code]
    environment = os.environ | {"OPENAI_API_KEY": "k"}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        time.sleep(0.1)
        parent.send_signal(signal.SIGINT)
        assert parent.wait(20) == 9


def test_a_tool_that_was_stopped_in_the_middle_is_in_doubt():
    """Nobody knows what Ctrl-C left behind: the tool is named, and is neither run nor answered."""
    pay = "import spanreel\nsaid('one')\n@spanreel.tool\ndef pay():\n    raise KeyboardInterrupt\npay()"
    write("agent.py", pay)
    record(sys.executable, "agent.py", code=130)
    assert load("last").status == "cancelled"
    found = verdict(replay()).first_divergence
    assert found is not None
    assert (found.kind, found.step, found.asked.title) == ("in_doubt", 2, "tool pay")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["no-such-program"], "no program"),
        (["/bin/ls"], "not a Python program"),
        ([], "no command"),
        ([sys.executable], "without a script"),
        ([sys.executable, "-"], "without a script"),
    ],
)
def test_what_is_no_python_program_is_refused(command, expected):
    """Before anything is started."""
    with pytest.raises(SpanreelError, match=expected):
        run_command(command)


def test_the_recorded_clock():
    """After a call it is the time at which that call ended in the recording, in every replay that asks for it."""
    write("agent.py", "import time\nprint(said('hello'), time.time())")
    record(sys.executable, "agent.py")
    source = load("last").run_id
    outcomes = [
        replay_run(None, source, policy=Policy(clock=clock), echo="capture", timeout=60)
        for clock in ("recorded", "recorded", "now")
    ]
    assert [verdict(one).verdict for one in outcomes] == ["exact"] * 3
    first, second, now = (one.stdout for one in outcomes)
    assert first == second != now


def test_a_faithful_replay_serves_failed_attempts_and_waits():
    """The SDK tries again as it did, with its own pauses; otherwise the success alone is served."""
    code = "import time\nclient = client.with_options(max_retries=2)\nstart = time.monotonic()\n"
    write("agent.py", code + "print(said('status 503 once'))\nprint(time.monotonic() - start > 0.3)")
    first = record(sys.executable, "agent.py")
    quick = replay("last")
    assert (verdict(quick).verdict, quick.stdout) == ("exact", first.replace("True", "False"))
    faithful = replay_run(None, "last~1", policy=Policy(faithful=True), echo="capture", timeout=60)
    assert (verdict(faithful).verdict, faithful.stdout) == ("exact", first)
