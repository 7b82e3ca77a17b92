"""doctor: what is well, what is not, and what to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
from commands import ROOT, Cli, Done, Fill, run_spans

from spanreel.collector.server import Collector
from spanreel.collector.settings import CollectorSettings


def checks(done: Done) -> dict[str, list[Any]]:
    """The checks by name."""
    found: dict[str, list[Any]] = {}
    for check in done.json["checks"]:
        found.setdefault(check["name"], []).append(check)
    return found


def test_all_is_well(cli: Cli, fill: Fill) -> None:
    """With a store, exit code 0; the taps on the installed clients are there; the object fits its schema."""
    fill(run_spans(1))
    done = cli("doctor", "--json")
    assert (done.code, done.json["healthy"]) == (0, True)
    found = checks(done)
    assert {one["state"] for one in found["tap"]} == {"ok"}
    assert sum("can be tapped" in one["found"] and "httpx" in one["found"] for one in found["tap"]) == 2
    assert "1 run" in found["store"][0]["found"]
    jsonschema.validate(done.json, cli("schema", "doctor").json)


def test_a_framework_that_lost_a_name_is_a_failure(cli: Cli, tmp_path: Path) -> None:
    """The private name that is gone is said, with what to do; one that cannot be imported is a warning."""
    folder = tmp_path / "patched"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Change:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'langgraph.pregel.main':\n"
        "            raise ImportError('half installed')\n"
        "sys.meta_path.insert(0, Change())\n"
        "if 'spanreel.instrument.frameworks.probe' in sys.orig_argv:\n"
        "    import langchain_core.tools.base as base\n"
        "    del base.BaseTool.run\n"
    )
    done = cli("doctor", "--json", env={"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])})
    found = {one["found"].split()[0]: one for one in checks(done)["tap"]}
    assert done.code == 1
    assert found["langchain-core"]["state"] == "fail"
    assert "langchain_core.tools.base:BaseTool.run" in found["langchain-core"]["found"]
    assert "pip install" in found["langchain-core"]["remedy"]
    assert (found["langgraph"]["state"], "half installed" in found["langgraph"]["found"]) == ("warn", True)
    assert found["openai-agents"]["state"] == "ok"


def test_text(cli: Cli) -> None:
    """Without a store it says where one will be; no line is wider than the terminal."""
    done = cli("doctor", columns=80)
    assert done.code == 0
    assert "none yet at" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_broken_store_fails(cli: Cli, store: Path) -> None:
    """A store that cannot be read is a failure with its remedy."""
    store.write_text("not a database at all, not at all\n" * 9)
    done = cli("doctor", "--json")
    (check,) = checks(done)["store"]
    assert (done.code, check["state"]) == (1, "fail")
    assert check["remedy"]


def test_a_store_that_others_may_read(cli: Cli, fill: Fill, store: Path) -> None:
    """Open permissions are a warning, with the command that closes them."""
    fill(run_spans(1))
    store.chmod(0o644)
    done = cli("doctor", "--json")
    (check,) = checks(done)["permissions"]
    assert (done.code, check["state"], check["remedy"]) == (0, "warn", f"chmod 600 {store}")


def test_an_incomplete_capture_is_counted(cli: Cli, fill: Fill) -> None:
    """A run that was not captured whole is a warning, with the command that shows it."""
    spans = run_spans(1)
    spans[1].attributes["spanreel.capture.incomplete"] = "body: too large"  # type: ignore[index]
    fill(spans)
    (check,) = checks(cli("doctor", "--json"))["captures"]
    assert check["state"] == "warn"
    assert "1 of 1 run" in check["found"]
    assert check["remedy"] == f"spanreel show {spans[0].trace_id}"


def test_a_torn_spool_is_counted(cli: Cli, store: Path) -> None:
    """Bytes that a kill left torn are counted."""
    folder = store.with_name("spans.db.spool")
    folder.mkdir()
    (folder / "1-a").write_bytes(b"spanreel spool 1\n" + b"torn" * 10)
    (check,) = checks(cli("doctor", "--json"))["spool"]
    assert check["state"] == "warn"
    assert check["found"].startswith("40 bytes")


def test_the_collector(cli: Cli, store: Path) -> None:
    """One that runs answers; one that died without a word is a warning; one that hangs is a failure."""
    with Collector(CollectorSettings(store, http_port=0, grpc_port=0)) as collector:
        (check,) = checks(cli("doctor", "--json"))["collector"]
        assert (check["state"], str(collector.http_port) in check["found"]) == ("ok", True)
    announcement = store.with_name("spans.db.collector.json")
    for pid, state in ((2**22 + 1, "warn"), (os.getpid(), "fail")):
        found = {"pid": pid, "host": "127.0.0.1", "http_port": 9, "grpc_port": 10, "token": ""}
        announcement.write_text(json.dumps(found))
        (check,) = checks(cli("doctor", "--json"))["collector"]
        assert check["state"] == state
        assert "spanreel collect" in check["remedy"]
