"""The pages about tools and hooks are true: their snippets and commands run from top to bottom."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from test_docs import ROOT, blocks, run_blocks, support_model

from spanreel.replay.hooks import EVENTS
from spanreel.replay.playbooks.executors.mcp_servers import from_settings
from spanreel.replay.playbooks.executors.programs import NAME, Programs


def test_the_page_about_tools_runs(tmp_path: Path) -> None:
    """Its agent, with a model behind it, its replay and its contract; what it says of pyproject.toml can be read."""
    pytest.importorskip("openai")
    (tmp_path / ".spanreel").mkdir()
    page = blocks((ROOT / "docs" / "tools.md").read_text("utf-8"))
    with support_model() as model:
        ran = run_blocks(tmp_path, page, OPENAI_BASE_URL=f"{model.url}/v1", OPENAI_API_KEY="k")
    assert (ran.count("python"), len(ran)) == (2, 8)
    tables = [tomllib.loads(block.text)["tool"]["spanreel"] for block in page if block.language == "toml"]
    assert from_settings("shop", tables[1]["mcp"]["shop"]).prefix == "shop_"
    assert tables[0]["commands"]["look"].keys() <= Programs.__dataclass_fields__.keys()
    assert NAME not in tables[0]["commands"]


def test_the_page_about_hooks_runs(tmp_path: Path) -> None:
    """Its hook lets the agent run and no run out; every event is in its table."""
    (tmp_path / ".spanreel").mkdir()
    text = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    page = blocks(text)
    (tmp_path / "pyproject.toml").write_text(next(one.text for one in page if one.language == "toml"))
    hook = next(one for one in page if one.text.startswith("# check.py"))
    (tmp_path / "check.py").write_text(hook.text)
    rest = [one for one in page if one is not hook]
    agent = next(one for one in rest if one.language == "python")
    (tmp_path / "agent.py").write_text(agent.text)
    assert len(run_blocks(tmp_path, rest)) == 4
    assert not (tmp_path / "run.otlp.jsonl").exists()
    assert [event for event in EVENTS if f"| `{event}` |" not in text] == []
