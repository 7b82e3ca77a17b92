"""runs, show, timeline, tail: what they print, at any width, as text and as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from commands import NOON, Cli, Fill, environment, run_spans

from spanreel.wire.spans import Span

WIDTHS = [60, 80, 140]


@pytest.mark.parametrize("columns", WIDTHS)
def test_runs_fit_the_terminal(cli: Cli, fill: Fill, columns: int) -> None:
    """No line is wider than the terminal; id, status and counts are always there, newest first."""
    fill(
        [
            *run_spans(1),
            *run_spans(2, agent="an-agent-with-a-name-longer-than-any-column", error="no such order"),
        ]
    )
    done = cli("runs", columns=columns)
    lines = done.out.splitlines()
    assert done.code == 0
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines] == ["run", "00000002", "00000001"]
    assert "error" in lines[1]
    assert re.search(r"completed .* 4\.0 s +3\b", lines[2])


def test_runs_json(cli: Cli, fill: Fill) -> None:
    """Limit and status hold for JSON too; the object fits its published schema."""
    fill([span for number in range(1, 5) for span in run_spans(number, error="" if number % 2 else "no")])
    found = cli("runs", "--status", "error", "--limit", "1", "--json").json
    assert [run["run_id"][:8] for run in found["runs"]] == ["00000004"]
    jsonschema.validate(found, cli("schema", "runs").json)


def test_more_runs_than_listed_are_mentioned(cli: Cli, fill: Fill) -> None:
    """What is left out is said on stderr, with the command that lists it."""
    fill([*run_spans(1), *run_spans(2)])
    done = cli("runs", "-n", "1")
    assert "1 more: spanreel runs --limit 2" in done.err
    assert "00000001" not in done.out


def test_unknown_status_is_a_usage_error(cli: Cli, fill: Fill) -> None:
    """A status that does not exist is exit code 2, and those that do are named."""
    fill(run_spans(1))
    done = cli("runs", "--status", "fine")
    assert done.code == 2
    assert "completed" in done.err


@pytest.mark.parametrize("columns", WIDTHS)
def test_show_draws_the_tree(cli: Cli, fill: Fill, columns: int) -> None:
    """Model calls, tool calls and the answer, in order, within the terminal."""
    fill(run_spans(1))
    done = cli("show", "last", columns=columns)
    assert max(map(len, done.out.splitlines())) <= columns
    tree = [line for line in done.out.splitlines() if line[:2] in ("├─", "└─")]
    assert tree[0].startswith("├─ 1 gpt-5-mini → asks for get_order")
    assert tree[1].startswith('├─ 2 get_order(order_id="1042")')
    assert tree[2].startswith('└─ 3 gpt-5-mini → "All done."')
    assert [line.split()[-3] for line in tree if "200→20" in line] == ["200→20", "200→20"]
    assert done.out.endswith("answer\n  All done.\n")


def test_show_full_has_messages_arguments_and_results(cli: Cli, fill: Fill) -> None:
    """`--full` leaves nothing out."""
    fill(run_spans(1, answer="word " * 200))
    done = cli("show", "last", "--full")
    assert "Where is order 1042?" in done.out
    assert '"state": "sent"' in done.out
    assert done.out.count("word") >= 400


def test_show_error_is_seen(cli: Cli, fill: Fill) -> None:
    """The error of a step is below the step, that of the run in the header."""
    fill(run_spans(1, error="KeyError: '1042'"))
    out = cli("show", "last:failed").out
    assert "support  error" in out
    assert re.search(r"2 get_order.*\n│ +error: KeyError: '1042'", out)


def test_nested_agents_are_branches(cli: Cli, fill: Fill) -> None:
    """The steps of an agent inside the run hang below its name."""
    outer = run_spans(1)
    inner = Span(
        outer[0].trace_id,
        f"{9:016x}",
        "invoke_agent researcher",
        outer[0].span_id,
        1,
        NOON + 62 * 10**9,
        NOON + 63 * 10**9,
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"},
    )
    tool = Span(
        outer[0].trace_id,
        f"{10:016x}",
        "execute_tool search",
        inner.span_id,
        1,
        NOON + 62 * 10**9 + 1,
        NOON + 62 * 10**9 + 2,
        attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
    )
    fill([*outer, inner, tool])
    assert re.search(r"└─ researcher\n   └─ \d search\(\)", cli("show", "last").out)


def test_show_json_is_the_replay(cli: Cli, fill: Fill) -> None:
    """The JSON is a Replay and fits its schema."""
    fill(run_spans(1))
    found = cli("show", "00000001", "--json").json
    assert (found["schema"], found["content"], len(found["steps"])) == ("spanreel.replay.v1", "All done.", 3)
    jsonschema.validate(found, cli("schema", "replay").json)


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mred\u202eevil\x1b(0"


@pytest.mark.parametrize("command", ["runs", "show", "timeline", "tail"])
def test_no_control_sequence_reaches_the_terminal(cli: Cli, fill: Fill, command: str) -> None:
    """What a model, a tool or a name says cannot act on the terminal, in text or in JSON."""
    fill(run_spans(1, agent="a" + HOSTILE, answer="b" + HOSTILE, tool="c" + HOSTILE, error="d" + HOSTILE))
    more = ["--all", "--timeout", "0"] if command == "tail" else []
    for words in ([command], [command, "--json"], [command, "--full"] if command == "show" else [command]):
        done = cli(*words, *more)
        assert done.code == 0
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.out + done.err)


@pytest.mark.parametrize("columns", WIDTHS)
def test_timeline_bars_lie_where_the_time_was(cli: Cli, fill: Fill, columns: int) -> None:
    """Each bar begins after the ones before it ended, and their lengths are as the durations."""
    fill(run_spans(1))
    out = cli("timeline", "last", columns=columns).out
    assert max(map(len, out.splitlines())) <= columns
    bars = [line for line in out.splitlines() if re.match(r" +\d  ", line)]
    starts = [min(line.index(block) for block in "█▏▎▍▌▋▊▉" if block in line) for line in bars]
    lengths = [sum(line.count(block) for block in "█▏▎▍▌▋▊▉") for line in bars]
    assert starts == sorted(starts)
    assert lengths[2] > lengths[0] > lengths[1]


def test_timeline_json(cli: Cli, fill: Fill) -> None:
    """Offsets and durations are milliseconds; the object fits its schema."""
    fill(run_spans(1))
    found = cli("timeline", "last", "--json").json
    assert [(step["offset"], step["duration"]) for step in found["steps"]] == [
        (500, 1000),
        (1500, 500),
        (2000, 1500),
    ]
    jsonschema.validate(found, cli("schema", "timeline").json)


def test_tail_shows_what_is_there(cli: Cli, fill: Fill) -> None:
    """`--all` begins at the beginning, `--count` ends it; each JSON line fits the schema."""
    fill(run_spans(1))
    done = cli("tail", "--all", "--count", "3", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    schema = cli("schema", "tail").json
    assert len(lines) == 3
    for line in lines:
        jsonschema.validate(line, schema)


def test_tail_follows(tmp_path: Path, fill: Fill) -> None:
    """Without `--all` only spans that arrive while it looks are printed."""
    fill(run_spans(1))
    process = subprocess.Popen(
        [sys.executable, "-m", "spanreel", "tail", "--count", "4", "--timeout", "30"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert "following" in process.stderr.readline()
    time.sleep(0.5)
    fill(run_spans(2))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [line.split()[0] for line in out.splitlines()] == ["00000002"] * 4


def test_empty_store(cli: Cli, fill: Fill) -> None:
    """A store without runs is no error, and the line says how to record one."""
    fill([])
    done = cli("runs")
    assert done.code == 0
    assert "no runs yet" in done.out
    assert "spanreel run -- python" in done.out
    assert cli("runs", "--json").json == {"schema": "spanreel.runs.v1", "runs": []}
