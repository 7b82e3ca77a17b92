"""Bad input, one case each: one line that says what is wrong, the next command, the exit code, no traceback."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commands import Cli, Done, Fill, environment, run_spans

from spanreel.collector import files
from spanreel.collector.store import open_reader
from spanreel.location import spool_folder

SCRIPT = """
import spanreel

@spanreel.tool(safety="read")
def look(place):
    return f"nothing in {place}"

print(look("the box"))
"""


def is_one_line(done: Done, code: int, message: str, remedy: str) -> None:
    """Nothing on stdout; on stderr what is wrong, then what to do, and no more."""
    lines = done.err.splitlines()
    assert (done.code, done.out, len(lines)) == (code, "", 2), done
    assert re.fullmatch(f"spanreel: .*(?:{message}).*", lines[0]), lines
    assert re.fullmatch(f"  → .*(?:{remedy}).*", lines[1]), lines


READING = [
    ["show", "nope"],
    ["timeline", "nope"],
    ["diff", "nope", "last"],
    ["export", "nope"],
    ["rm", "nope"],
    ["replay", "nope"],
]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_unknown_run(cli: Cli, fill: Fill, words: list[str]) -> None:
    """A run that does not exist is exit code 2, and the command that lists the runs."""
    fill(run_spans(1))
    is_one_line(cli(*words), 2, "no run 'nope'", "spanreel runs")


def test_ambiguous_prefix(cli: Cli, fill: Fill) -> None:
    """A prefix of two runs names both."""
    fill([*run_spans(1), *run_spans(2)])
    is_one_line(cli("show", "0000000"), 2, "2 runs begin with 0000000: 0000000[12].*, 0000000[12]", "letters")


@pytest.mark.parametrize(
    "words", [["show"], ["diff", "last~1", "last"], ["replay", "last:failed"]], ids=lambda words: words[0]
)
def test_empty_store(cli: Cli, fill: Fill, words: list[str]) -> None:
    """A store without runs says how to record the first one."""
    fill([])
    is_one_line(cli(*words), 2, "no run", "spanreel run -- python")


@pytest.mark.parametrize(
    "words", [["runs"], ["show"], ["replay"], ["rm", "last", "--yes"]], ids=lambda words: words[0]
)
def test_missing_store(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    """A store that is not there is named, and nothing is made in its place."""
    missing = tmp_path / "no" / "where.db"
    is_one_line(cli(*words, "--store", missing), 1, f"no store at {missing}", "record a run|spanreel run")
    assert not missing.parent.exists()


@pytest.fixture
def newer(tmp_path: Path, fill: Fill, store: Path) -> Path:
    """A store that a later version has changed."""
    fill(run_spans(1))
    with sqlite3.connect(store) as connection:
        (name,) = connection.execute("SELECT migration_set FROM _sqlite_migrations LIMIT 1").fetchone()
        connection.execute(
            "INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES (?, 'm999_later', '2030-01-01')",
            (name,),
        )
    connection.close()
    return store


@pytest.mark.parametrize(
    "words",
    [["runs"], ["show"], ["collect", "--http-port", "0", "--grpc-port", "0"]],
    ids=lambda words: words[0],
)
def test_newer_store(cli: Cli, newer: Path, words: list[str]) -> None:
    """A store of a later version is neither read nor changed."""
    with closing(sqlite3.connect(newer)) as connection:
        before = list(connection.iterdump())
    is_one_line(cli(*words), 1, "later spanreel.*m999_later", "pip install -U spanreel")
    with closing(sqlite3.connect(newer)) as connection:
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize("words", [["runs"], ["import", "run.otlp.jsonl"]], ids=lambda words: words[0])
def test_not_a_database(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    """A file that is no store stays as it is."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database, by far\n" * 100)
    files.write_jsonl(run_spans(1), tmp_path / "run.otlp.jsonl")
    is_one_line(cli(*words, "--store", file), 1, "notes.txt is not a spanreel store", "--store")
    assert file.read_text() == "not a database, by far\n" * 100


def test_a_foreign_database(cli: Cli, tmp_path: Path) -> None:
    """Somebody else's SQLite file is not taken for a store."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE orders(id INTEGER)")
    connection.close()
    is_one_line(cli("runs", "--store", file), 1, "not a spanreel store", "--store")


def test_a_folder_as_store(cli: Cli, tmp_path: Path) -> None:
    """A folder is not a store."""
    is_one_line(cli("runs", "--store", tmp_path), 1, "is a folder", "--store")


def test_a_store_below_a_file(cli: Cli, tmp_path: Path) -> None:
    """A path that cannot be is one line for readers and writers."""
    (tmp_path / "file").write_text("")
    files.write_jsonl(run_spans(1), tmp_path / "run.otlp.jsonl")
    for words in (["runs"], ["import", "run.otlp.jsonl"]):
        done = cli(*words, "--store", tmp_path / "file" / "spans.db")
        assert (done.code, done.out, "Traceback" in done.err) == (1, "", False)
        assert done.err.startswith("spanreel: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(cli: Cli, tmp_path: Path) -> None:
    """A folder without permission is named, and how to get in."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    is_one_line(cli("runs", "--store", folder / "spans.db"), 1, "cannot be", "permission|read and write")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_port_in_use(cli: Cli, taken: int, option: str) -> None:
    """A port in use is named, and the option that names another."""
    other = "--grpc-port" if option == "--http-port" else "--http-port"
    is_one_line(cli("collect", option, str(taken), other, "0"), 1, f"{taken}.*in use", option)


def test_an_address_of_another_machine(cli: Cli) -> None:
    """An address that is not this machine's is named, and the option that names another."""
    words = ["--host", "192.0.2.1", "--token", "t", "--http-port", "0", "--grpc-port", "0"]
    is_one_line(cli("collect", *words), 1, "192.0.2.1 is no address of this machine", "--host")


@pytest.mark.parametrize("words", [["runs"], ["show"], ["replay"]], ids=lambda words: words[0])
def test_a_store_that_lacks_a_table(
    cli: Cli, tmp_path: Path, fill: Fill, store: Path, words: list[str]
) -> None:
    """A store that somebody took a table from, with spans waiting for it: one line, and the spans wait on."""
    fill(run_spans(1))
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript("PRAGMA foreign_keys = OFF; DROP VIEW runs; DROP TABLE attribute_key;")
    (tmp_path / "agent.py").write_text(SCRIPT)
    assert cli("run", "--", "python", "agent.py").code == 0
    waiting = list(spool_folder(store).iterdir())
    is_one_line(cli(*words), 1, "not as this spanreel made it.*attribute_key", "--store")
    assert list(spool_folder(store).iterdir()) == waiting


def test_an_open_address_needs_a_token(cli: Cli) -> None:
    """Listening where others can reach it is refused without a token."""
    done = cli("collect", "--host", "0.0.0.0", "--http-port", "0", "--grpc-port", "0")
    is_one_line(done, 1, "0.0.0.0 needs a token", "--token")


def test_truncated_file(cli: Cli, tmp_path: Path, store: Path) -> None:
    """A file that is cut off is named with the line, and nothing of it is kept."""
    file = tmp_path / "run.otlp.jsonl"
    files.write_jsonl(run_spans(1), file)
    file.write_bytes(file.read_bytes()[:-40])
    is_one_line(cli("import", file), 1, "run.otlp.jsonl:4: ", "whole file")
    if store.exists():
        with open_reader(store) as reader:
            assert reader.runs() == []


@pytest.mark.parametrize("text", ["", "Dear diary,\n", '{"orders": []}\n', "\x00\x01\x02", "[1, 2]"])
@pytest.mark.parametrize("words", [["import"], ["diff", "last"]], ids=lambda words: words[0])
def test_not_otlp(cli: Cli, fill: Fill, tmp_path: Path, text: str, words: list[str]) -> None:
    """A file that holds no spans is named, and what it should be."""
    fill(run_spans(1))
    file = tmp_path / "notes.jsonl"
    file.write_text(text)
    is_one_line(cli(*words, file), 1, "notes.jsonl", "OTLP|give|file")


def test_no_such_file(cli: Cli, tmp_path: Path) -> None:
    """A file that is not there is not taken for a run."""
    is_one_line(cli("import", tmp_path / "gone.jsonl"), 1, "no file", "name a file")


def test_a_folder_without_traces(cli: Cli, tmp_path: Path) -> None:
    """A folder in which nothing looks like a trace file says which names do."""
    (tmp_path / "empty").mkdir()
    is_one_line(cli("import", tmp_path / "empty"), 1, "no file in .*jsonl", "name the files")


def test_a_run_without_bytes_cannot_be_replayed(cli: Cli, fill: Fill) -> None:
    """A run that only carries standard attributes says what it lacks, and how to look at it."""
    fill(run_spans(1))
    is_one_line(cli("replay", "last"), 1, "cannot be replayed: step 1", "spanreel show 00000001")


def test_a_replay_whose_entry_is_gone(cli: Cli, tmp_path: Path) -> None:
    """A script that was deleted is named, and how to name another."""
    script = tmp_path / "agent.py"
    script.write_text(SCRIPT)
    assert cli("run", "--", "python", "agent.py").code == 0
    script.unlink()
    is_one_line(
        cli("replay", "last"), 1, "agent.py.*gone|gone.*agent.py", "spanreel replay [0-9a-f]+ -- python"
    )


def test_a_replay_whose_folder_is_gone(cli: Cli, tmp_path: Path) -> None:
    """Likewise the folder it ran in."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "agent.py").write_text(SCRIPT)
    assert cli("run", "--", "python", "agent.py", cwd=folder).code == 0
    shutil.rmtree(folder)
    is_one_line(cli("replay", "last"), 1, "elsewhere.*gone", "spanreel replay [0-9a-f]+ -- python")


def test_a_missing_program(cli: Cli) -> None:
    """`run` of a program that is not there."""
    is_one_line(cli("run", "--", "no-such-program"), 1, "no program 'no-such-program'", "python")


@pytest.mark.parametrize(
    ("words", "said"), [(["gone.py"], "no script gone.py"), (["-m", "gone"], "no module gone")]
)
def test_a_missing_script(cli: Cli, words: list[str], said: str) -> None:
    """`run` of a script or a module that is not there; nothing is recorded."""
    is_one_line(cli("run", "--", "python", *words), 1, f"there is {said}", "file")
    assert "no store" in cli("runs").err


@pytest.mark.parametrize(
    "words",
    [["nope"], ["show", "--nope"], ["runs", "--limit", "many"], ["diff", "last"], ["runs", "-n", "0"]],
)
def test_usage_errors(cli: Cli, words: list[str]) -> None:
    """What the command line does not know is exit code 2, with where help is."""
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert f"Try 'spanreel{f' {words[0]}' if words[1:] else ''} -h'" in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback(cli: Cli, tmp_path: Path) -> None:
    """A traceback comes only when it was asked for, and the line comes with it."""
    done = cli("--debug", "runs", "--store", tmp_path / "none.db")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "spanreel: there is no store" in done.err


def test_a_closed_pipe_is_no_error(cli: Cli, fill: Fill, tmp_path: Path) -> None:
    """`spanreel … | head` ends quietly."""
    fill([span for number in range(1, 200) for span in run_spans(number)])
    line = f"{sys.executable} -m spanreel runs --json -n 500 | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
