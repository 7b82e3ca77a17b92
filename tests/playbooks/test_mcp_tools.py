"""Tools of MCP servers are tools: listed with schema and safety, called for real, recorded, and replayed without a server."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import environment

import spanreel
from spanreel.exceptions import BadInput, EffectDenied, SpanreelError
from spanreel.instrument import tools
from spanreel.replay.load import load
from spanreel.replay.playbooks import executors
from spanreel.replay.playbooks.executors import ToolFailed
from spanreel.replay.playbooks.executors.mcp_servers import McpServer, from_option, from_settings, mcp_tools
from spanreel.replay.playbooks.formats import target
from spanreel.replay.playbooks.playbook import Playbook

pytest.importorskip("mcp", reason="the mcp package is not installed")

SHOP = str(Path(__file__).with_name("mcp_shop.py"))
BODY: dict[str, Any] = {
    "name": "cancel-order",
    "initial": "get",
    "risk": "low",
    "params": {"order": {}},
    "states": {
        "get": {"tool": "get_order", "args": {"order_id": "{{ params.order }}"}, "save_as": "order", "expect": {"json": {"status": "delivered"}}, "next": "cancel"},
        "cancel": {"tool": "cancel", "args": {"order_id": "{{ order.order_id }}"}},
    },
}  # fmt: skip


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the server notes what it does; no test leaves a tool or a session behind."""
    before = dict(tools._declared)
    tools._declared.clear()  # other tests of this process have declared tools of the same names
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "shop.log"
    executors.mcp_servers._Session.close_all()  # type: ignore[attr-defined]
    tools._declared.clear()
    tools._declared.update(before)


def shop(log: Path, **more: Any) -> McpServer:
    """The shop over stdio."""
    return mcp_tools("shop", [sys.executable, SHOP], env={"SHOP_LOG": str(log), "SHOP_USER": "ann"}, **more)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_a_server_over_stdio_gives_its_tools(log: Path) -> None:
    """With description, schema and safety out of its hints; a prefix and a safety of one's own are kept to."""
    shop(log, prefix="shop_", safety={"add_note": "irreversible"})
    known = tools.registered()
    safety = {name: known[f"shop_{name}"].safety for name in ("get_order", "add_note", "cancel")}
    assert safety == {"get_order": "read", "add_note": "irreversible", "cancel": "irreversible"}
    schema = spanreel.tool_schemas("anthropic", ["shop_get_order"])[0]
    assert schema["description"].startswith("Look an order up.")
    assert schema["input_schema"]["required"] == ["order_id"]
    asked = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "shop_get_order", "input": {}}],
    }
    assert "order_id is missing" in spanreel.apply_tool_calls(asked)[0]["content"][0]["content"]
    assert lines(log) == ["started"]


def test_calls_give_structure_or_text_and_raise_what_failed(log: Path) -> None:
    """Structured content as it is; an error of the tool is raised with its words; one session serves all calls."""
    server = shop(log)
    known = tools.registered()
    call = {name: tools.recorded(known[name]) for name in ("get_order", "add_note")}
    assert call["get_order"](order_id="W1") == {"order_id": "W1", "status": "delivered", "for": "ann"}
    assert "W1: hi" in str(call["add_note"](order_id="W1", note="hi"))
    with pytest.raises(ToolFailed, match="no such order"):
        call["get_order"](order_id="W0")
    assert lines(log) == ["started"]
    server.close()
    assert call["get_order"](order_id="W2")["order_id"] == "W2"
    assert lines(log) == ["started", "started"]


def test_a_playbook_calls_them_and_replays_without_a_server(log: Path, tmp_path: Path) -> None:
    """The execution is replayed in a process of its own, and in this one: no server is started, nothing is cancelled again."""
    shop(log)
    spanreel.instrument()
    result = Playbook.load(BODY).run(order="W1")
    spanreel.uninstrument()
    assert (result.status, result.output) == ("completed", {"order_id": "W1", "status": "cancelled"})
    run = load(result.run_id)
    assert [(call.tool_name, call.safety) for call in run.tool_calls] == [
        ("get_order", "read"),
        ("cancel", "irreversible"),
    ]
    executors.mcp_servers._Session.close_all()  # type: ignore[attr-defined]
    with spanreel.replaying(result.run_id) as execution:
        shop(log)
        assert Playbook.load(BODY).run(order="W1").output == result.output
    assert execution.verdict.verdict == "exact"
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", "replay", result.run_id], cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(log) == ["started", "cancelled W1"]
    assert "ann" not in str(run.input)


def test_a_replay_starts_a_server_only_for_what_it_lets_out(log: Path) -> None:
    """A tool that changes the world is not called unless it is named; named, it is."""
    shop(log)
    spanreel.instrument()

    @spanreel.agent
    def cancelling(order: str) -> Any:
        return tools.recorded(tools.registered()["cancel"])(order_id=order)

    cancelling("W1")
    spanreel.uninstrument()
    run_id = load().run_id
    executors.mcp_servers._Session.close_all()  # type: ignore[attr-defined]
    with pytest.raises(EffectDenied), spanreel.replaying(run_id, tools="deny"):
        cancelling("W1")
    with spanreel.replaying(run_id, allow_tools=["cancel"]):
        assert cancelling("W1")["status"] == "cancelled"
    assert lines(log) == ["started", "cancelled W1", "started", "cancelled W1"]


@pytest.fixture
def url() -> Iterator[str]:
    """The shop over streamable HTTP."""
    import uvicorn
    from mcp_shop import server

    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    running.should_exit = True
    thread.join(10)
    listening.close()


def test_a_server_over_http_is_called_too(log: Path, url: str) -> None:
    """With headers of one's own as without; a replay that lets a tool out reaches it through the closed network."""
    from_option(f"web={url}").register()
    assert tools.recorded(tools.registered()["add_note"])(order_id="W1", note="x")
    server = mcp_tools("web2", url=url, prefix="w_", headers={"x-user": "ann"})
    spanreel.instrument()

    @spanreel.agent
    def cancelling(order: str) -> Any:
        return tools.recorded(tools.registered()["w_cancel"])(order_id=order)

    first = cancelling("W1")
    spanreel.uninstrument()
    server.close()
    with spanreel.replaying(load().run_id, allow_tools=["w_cancel"]):
        assert cancelling("W1") == first


def test_settings_and_options_name_servers(log: Path, tmp_path: Path) -> None:
    """`[tool.spanreel.mcp.NAME]` is read; a project's server is asked only while a tool that is needed is missing."""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.spanreel.mcp.shop]\ncommand = ["{sys.executable}", "{SHOP}"]\nprefix = "p_"\nenv = {{SHOP_LOG = "{log}"}}\n'
    )
    assert executors.prepare(["p_cancel"]) == ["p_get_order", "p_add_note", "p_cancel"]
    assert executors.prepare(["p_cancel"]) == []
    assert lines(log) == ["started"]
    target.modules(["mcp:shop", f"mcp:other={sys.executable} {SHOP}"])
    assert {"p_cancel", "cancel"} <= tools.registered().keys()
    with pytest.raises(BadInput, match=r"no MCP server ship in pyproject\.toml; there are: shop"):
        executors.named("mcp:ship")
    assert from_option("a=python -m 'my server' --x").command == ("python", "-m", "my server", "--x")
    for wrong, words in (
        ({}, "either a command or a url"),
        ({"command": ["x"], "url": "http://x"}, "either a command or a url"),
        ({"comand": ["x"]}, "has no comand"),
        ({"command": []}, "no list of words"),
        ({"command": ["x"], "env": 3}, "env in .* is no table"),
        ({"command": ["x"], "safety": {"a": "wild"}}, "no safety class 'wild'"),
    ):
        with pytest.raises(BadInput, match=words):
            from_settings("bad", wrong)
    with pytest.raises(BadInput, match="names no server"):
        from_option("nothing")


def test_a_playbook_finds_the_projects_server_by_itself(log: Path, tmp_path: Path) -> None:
    """A tool that nobody registered is looked for at the servers of pyproject.toml, which is registering it."""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.spanreel.mcp.shop]\ncommand = ["{sys.executable}", "{SHOP}"]\nenv = {{SHOP_LOG = "{log}"}}\n'
    )
    assert Playbook.load(BODY).run(order="W1").status == "completed"
    assert lines(log) == ["started", "cancelled W1"]


def test_a_server_that_is_not_there_is_one_clear_line(log: Path) -> None:
    """A program that does not exist or speaks no MCP, and a port where nobody listens, say so in time."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    for more in (
        {"command": ["/no/such/program"]},
        {"command": [sys.executable, "-c", "pass"]},
        {"url": f"http://127.0.0.1:{free}/mcp"},
    ):
        with pytest.raises(SpanreelError, match="MCP server gone cannot be reached"):
            mcp_tools("gone", timeout=20, **more)


def test_without_the_package_the_remedy_is_named(tmp_path: Path) -> None:
    """The error has the line that installs it."""
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from spanreel.replay.playbooks.executors.mcp_servers import mcp_tools\n"
        "mcp_tools('shop', ['python'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "pip install 'spanreel[mcp]'" in done.stderr
