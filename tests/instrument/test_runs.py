"""What is a run, what is kept of it, and that marking one changes nothing for the agent."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import spans

import spanreel
from spanreel.exceptions import ApprovalPending, SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.revision import revision
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span


def ended(store: Path) -> list[Span]:
    """Every ended span, by start."""
    spanreel.uninstrument()
    return sorted((span for span in spans(store) if span.end_ns), key=lambda span: span.start_ns)


def by_name(store: Path) -> dict[str, Span]:
    """Ended spans by their name."""
    return {span.name: span for span in ended(store)}


@spanreel.agent
def planner(goal: str, *, steps: int = 2, **rest: object) -> dict[str, object]:
    """An agent that asks another."""
    spanreel.note("plan", "thinking", {"steps": steps})
    return {"goal": goal, "done": helper(goal)}


@spanreel.agent(name="assistant")
def helper(goal: str) -> str:
    """The other."""
    return goal.upper()


def test_an_agent_is_a_run_and_a_nested_agent_a_step_of_it(store: Path) -> None:
    """The root keeps what is needed to run it again; the nested one hangs below it."""
    spanreel.instrument()
    assert planner("x", steps=3, z=(1, 2)) == {"goal": "x", "done": "X"}
    opened = [span for span in spans(store) if not span.end_ns]
    assert [(span.name, span.attributes[names.OPEN]) for span in opened] == [("invoke_agent planner", True)]
    root, nested = ended(store)
    assert root.parent_span_id is None
    assert (nested.name, nested.parent_span_id, nested.trace_id) == (
        "invoke_agent assistant",
        root.span_id,
        root.trace_id,
    )
    said = root.attributes
    assert said[names.OPERATION] == "invoke_agent"
    assert said[names.AGENT_NAME] == "planner"
    assert said[names.RUN_ENTRY] == "function"
    assert said[names.CODE_FUNCTION] == f"{__name__}:planner"
    assert said[names.CODE_FILE] == __file__
    assert said[names.PROCESS_ARGS] == sys.orig_argv[1:]
    assert Path(str(said[names.PROCESS_CWD])).is_dir()
    assert codec.decode(str(said[names.RUN_INPUT])) == {"goal": "x", "steps": 3, "z": (1, 2)}
    assert codec.decode(str(said[names.RUN_OUTPUT])) == {"goal": "x", "done": "X"}
    assert nested.attributes[names.RUN_ID] == said[names.RUN_ID] == root.trace_id
    assert names.PROCESS_ARGS not in nested.attributes
    (event,) = root.events
    assert event.name == names.NOTE
    assert json.loads(str(event.attributes["spanreel.note.data"])) == {"steps": 3}


def test_a_block_has_a_name_a_session_tags_and_an_output(store: Path) -> None:
    """`with` and `async with`; a name of the user's own is an alias."""
    spanreel.instrument()
    with spanreel.run(
        "support", input="hi", session="s1", run_id="mine", tags={"team": "a"}, metadata={"n": [1]}, experiment={"prompt": "b"}
    ) as run:  # fmt: skip
        assert run.run_id == "mine"
        run.set_output(["bye"])
        spanreel.outcome(success=True, metrics={"score": 0.5})

    async def main() -> str:
        async with spanreel.run("other") as other:
            return other.run_id

    other = asyncio.run(main())
    found = by_name(store)
    said = found["invoke_workflow support"].attributes
    expected = {
        names.RUN_ID: "mine", names.CONVERSATION_ID: "s1", "spanreel.tag.team": "a", "spanreel.metadata.n": "[1]",
        "spanreel.experiment.prompt": "b", names.RUN_INPUT: '"hi"', names.RUN_OUTPUT: '["bye"]', names.RUN_ENTRY: "process",
        names.WORKFLOW_NAME: "support", "spanreel.outcome.success": True, "spanreel.outcome.metrics.score": 0.5, names.CODE_FILE: __file__,
    }  # fmt: skip
    assert {key: said.get(key) for key in expected} == expected
    assert found["invoke_workflow other"].trace_id == other


def test_an_outcome_that_comes_late_is_kept_below_the_run(store: Path) -> None:
    """The root has ended and does not change any more."""
    spanreel.instrument()
    with spanreel.run("a") as run:
        pass
    spanreel.outcome(success=False, summary="wrong")
    run.outcome(metrics={"score": 1})
    root, *late = ended(store)
    assert [span.parent_span_id for span in late] == [root.span_id] * 2
    assert late[0].attributes["spanreel.outcome.summary"] == "wrong"
    assert late[0].attributes[names.RUN_ID] == root.trace_id


def test_an_outcome_outside_any_run_is_refused_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Clearly, and without an exception."""
    spanreel.instrument()
    import contextvars

    contextvars.Context().run(lambda: spanreel.outcome(success=True))
    assert "outside any run" in caplog.text


def test_a_name_for_a_run_inside_another_is_refused_in_the_log(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a run has a name; what is nested is a step."""
    spanreel.instrument()
    with spanreel.run("outer", run_id="outer"), spanreel.run("inner", run_id="inner"):
        pass
    assert "inside another one" in caplog.text
    assert {span.attributes[names.RUN_ID] for span in ended(store)} == {"outer"}


@pytest.mark.parametrize("alias", ["", " x", "a\nb", "x" * 201])
def test_a_run_id_that_cannot_be_typed_is_refused(alias: str) -> None:
    """An alias is printable."""
    with pytest.raises(SpanreelError, match="cannot name a run"):
        spanreel.run("a", run_id=alias)


@pytest.mark.parametrize(
    ("error", "status", "kind", "outcome"),
    [
        (ValueError("no"), 2, "ValueError", None),
        (asyncio.CancelledError(), 2, "asyncio.exceptions.CancelledError", "cancelled"),
        (ApprovalPending("wait"), 0, None, "paused"),
        (SystemExit(0), 0, None, None),
    ],
)
def test_the_exception_that_ends_a_run_is_kept_and_passes(
    store: Path, error: BaseException, status: int, kind: str | None, outcome: str | None
) -> None:
    """Untouched, signals included."""
    spanreel.instrument()
    with pytest.raises(type(error)) as raised, spanreel.run("a"):
        raise error
    assert raised.value is error
    (root,) = ended(store)
    assert (root.status, root.attributes.get(names.ERROR_TYPE), root.attributes.get(names.WIRE_OUTCOME)) == (
        status,
        kind,
        outcome,
    )


@spanreel.agent
def words(text: str):
    """A generator that is sent and thrown things, and returns."""
    got = yield from text.split()
    received = yield got
    try:
        yield received
    except KeyError:
        with spanreel.run("inner"):
            yield "caught"
    return "end"


@spanreel.agent
async def awords(text: str):
    """An async generator that is sent things."""
    for word in text.split():
        got = yield word
        if got:
            yield got


def test_generators_are_driven_as_before(store: Path) -> None:
    """Sent values, thrown exceptions and the return value pass; the context never stays with the consumer."""
    from opentelemetry import context as otel_context

    spanreel.instrument()
    before = otel_context.get_current()
    assert inspect.isgeneratorfunction(words)
    stream = words("a b")
    seen = [next(stream), next(stream), next(stream), stream.send("sent"), stream.throw(KeyError())]
    assert otel_context.get_current() == before
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert seen == ["a", "b", None, "sent", "caught"]
    assert stop.value.value == "end"
    found = by_name(store)
    root = found["invoke_agent words"]
    assert codec.decode(str(root.attributes[names.RUN_OUTPUT])) == seen
    assert found["invoke_workflow inner"].parent_span_id == root.span_id


def test_async_generators_are_driven_as_before(store: Path) -> None:
    """An early break closes the run with what was read."""
    spanreel.instrument()
    assert inspect.isasyncgenfunction(awords)

    async def main() -> list[str]:
        stream = awords("a b c")
        seen = [await anext(stream), await stream.asend("sent")]
        await stream.aclose()
        return seen

    assert asyncio.run(main()) == ["a", "sent"]
    (root,) = ended(store)
    assert (root.status, root.attributes[names.WIRE_OUTCOME]) == (0, "closed")
    assert codec.decode(str(root.attributes[names.RUN_OUTPUT])) == ["a", "sent"]


def test_concurrent_async_agents_do_not_mix(store: Path) -> None:
    """Each outermost call is a trace of its own; what it calls is below it."""

    @spanreel.agent
    async def one(number: int) -> int:
        await asyncio.sleep(0.01 * (3 - number))
        await two(number)
        return number

    @spanreel.agent
    async def two(number: int) -> None:
        await asyncio.sleep(0)

    async def main() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(3)))

    spanreel.instrument()
    assert asyncio.run(main()) == [0, 1, 2]
    found = ended(store)
    roots = {
        span.trace_id: codec.decode(str(span.attributes[names.RUN_INPUT]))
        for span in found
        if not span.parent_span_id
    }
    assert len(roots) == 3
    assert all(roots[span.trace_id] == codec.decode(str(span.attributes[names.RUN_INPUT])) for span in found)


def test_without_recording_everything_only_passes_through(store: Path) -> None:
    """No file appears, and nothing changes for the agent."""
    assert planner("x")["done"] == "X"
    assert next(iter(words("a"))) == "a"
    with spanreel.run("a") as run:
        run.set_output(1)
        run.note("x")
        run.outcome(success=True)
    spanreel.note("x")
    spanreel.outcome(success=True)
    assert run.run_id == ""
    assert not store.parent.joinpath(f"{store.name}.spool").exists()


def test_an_argument_that_does_not_fit_is_the_functions_own_error() -> None:
    """Recording never raises an error of its own."""
    spanreel.instrument()
    with pytest.raises(TypeError, match="planner"):
        planner()  # type: ignore[call-arg]  # the point of the test


SCRIPT = """
import os, sys, signal, spanreel
spanreel.instrument()
@spanreel.tool(safety="read")
def look(x): return x + 1
assert look(1) == 2
os.chdir("/")
{end}
"""


def script(store: Path, end: str) -> tuple[subprocess.CompletedProcess[str], list[Span]]:
    """A plain script with one orphan tool call; what it recorded."""
    file = store.parent / "job.py"
    file.write_text(SCRIPT.format(end=end))
    environ = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "PYTHONPATH": str(Path(spanreel.__file__).parent.parent),
    }
    done = subprocess.run(
        [sys.executable, str(file), "-m", "x"],
        env=environ,
        cwd=store.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, spans(store)


@pytest.mark.parametrize(
    ("end", "code", "status", "exit_code", "kind"),
    [
        ("", 0, 0, None, None),
        ("sys.exit(0)", 0, 0, 0, None),
        ("sys.exit(3)", 3, 2, 3, None),
        ("sys.exit('gone')", 1, 2, 1, None),
        ("raise LookupError('x')", 1, 2, 1, "LookupError"),
        ("try: sys.exit(3)\nexcept SystemExit: look(2)", 0, 0, None, None),
    ],
)
def test_a_plain_script_is_a_run(
    store: Path, end: str, code: int, status: int, exit_code: int | None, kind: str | None
) -> None:
    """Orphan calls share one root, which closes at exit with how the script ended."""
    done, found = script(store, end)
    assert done.returncode == code, done.stderr
    root = next(span for span in found if span.end_ns and span.parent_span_id is None)
    tools = [span for span in found if span.end_ns and span.parent_span_id == root.span_id]
    assert root.name == "invoke_workflow job.py"
    assert {span.name for span in tools} == {"execute_tool look"}
    said = root.attributes
    assert (root.status, said.get(names.PROCESS_EXIT), said.get(names.ERROR_TYPE)) == (
        status,
        exit_code,
        kind,
    )
    assert said[names.PROCESS_ARGS] == [str(store.parent / "job.py"), "-m", "x"]
    assert said[names.PROCESS_CWD] == str(store.parent)
    assert said[names.RUN_ENTRY] == "process"


@pytest.mark.parametrize(("how", "name"), [(["-m", "job"], "job"), (["-c", "import job"], "python -c")])
def test_the_process_run_is_named_as_it_was_started(store: Path, how: list[str], name: str) -> None:
    """A module by its name, also."""
    store.parent.joinpath("job.py").write_text(SCRIPT.format(end=""))
    environ = {**os.environ, "PYTHONPATH": str(Path(spanreel.__file__).parent.parent)}
    subprocess.run([sys.executable, *how], env=environ, cwd=store.parent, check=True, timeout=60)
    assert [span.name for span in spans(store) if span.end_ns and not span.parent_span_id] == [
        f"invoke_workflow {name}"
    ]


def test_a_killed_script_leaves_its_root_open(store: Path) -> None:
    """A visible, incomplete run."""
    done, found = script(store, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    (root,) = [span for span in found if span.parent_span_id is None]
    assert (root.end_ns, root.attributes[names.OPEN]) == (0, True)


SERVER = """
import asyncio, socket, uvicorn, spanreel
spanreel.instrument()
@spanreel.tool(safety="read")
def look(x): return x
async def app(scope, receive, send):
    if scope["type"] != "http": return
    look(1); await asyncio.sleep(0.01); look(2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started: await asyncio.sleep(0.01)
    async def get():
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET / HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n")
        await reader.read(); writer.close()
    await asyncio.gather(get(), get())
    server.should_exit = True
    await serving
asyncio.run(main())
"""


def test_each_request_of_a_server_is_its_own_run(store: Path) -> None:
    """Its orphan calls do not pile up in one endless run."""
    file = store.parent / "serve.py"
    file.write_text(SERVER)
    environ = {
        **os.environ,
        "SPANREEL_STORE": str(store),
        "PYTHONPATH": str(Path(spanreel.__file__).parent.parent),
    }
    subprocess.run([sys.executable, str(file)], env=environ, check=True, timeout=60)
    found = [span for span in spans(store) if span.end_ns]
    roots = [span for span in found if span.parent_span_id is None]
    assert [span.name for span in roots] == ["invoke_workflow serve.py request"] * 2
    assert sorted(span.parent_span_id for span in found if span.parent_span_id) == sorted(
        root.span_id for root in roots for _ in range(2)
    )


def test_the_commit_is_read_without_a_process(tmp_path: Path) -> None:
    """From a branch, a packed ref, a worktree; None where there is none."""
    git = tmp_path / "repo" / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    inside = tmp_path / "repo" / "a" / "b"
    inside.mkdir(parents=True)
    (git / "packed-refs").write_text("# pack-refs\n" + "1" * 40 + " refs/heads/main\n")
    assert revision(str(inside)) == "1" * 40
    (git / "refs/heads/main").write_text("2" * 40 + "\n")
    assert revision(str(tmp_path / "repo")) == "2" * 40
    tree = git / "worktrees/w"
    tree.mkdir(parents=True)
    (tree / "HEAD").write_text("ref: refs/heads/main")
    (tree / "commondir").write_text("../..")
    (tmp_path / "w").mkdir()
    (tmp_path / "w/.git").write_text(f"gitdir: {tree}\n")
    assert revision(str(tmp_path / "w")) == "2" * 40
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/.git").write_bytes(b"\xff\xfe")
    assert revision(str(tmp_path / "bad")) is None
