"""A contract says what others rely on; what changed is told as additive or breaking, and with a diff."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commands import environment, run_spans
from hypothesis import given
from hypothesis import strategies as st

from spanreel.collector.store import open_writer
from spanreel.exceptions import BadInput, SpanreelError
from spanreel.replay import snapshots
from spanreel.replay.playbooks.body import Body
from spanreel.replay.surface import compared, of_playbook, of_runs, shape
from spanreel.replay.timeline import Replay
from spanreel.wire.spans import Span

BODY: dict[str, Any] = {
    "name": "contracted",
    "initial": "get",
    "params": {"order": {"type": "string"}},
    "states": {
        "get": {
            "tool": "contract_get",
            "args": {"order": "{{ params.order }}"},
            "save_as": "order",
            "next": "sum",
        },
        "sum": {"python": "contract_tools:total"},
    },
}
TOOLS = """import spanreel

@spanreel.tool(name="contract_get", safety="read")
def get(order: str) -> dict:
    return {"order": order}

def total(variables):
    return 1
"""


def playbook(change: Any = None, tools: Any = None) -> Any:
    body = copy.deepcopy(BODY)
    if change is not None:
        change(body)
    arguments = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
    known = {"contract_get": {"safety": "read", "arguments": arguments}}
    return of_playbook(Body.model_validate(body), tools or known, {"contract_tools:total": "c1:python-0-0"})


def test_provenance_is_no_part_of_it() -> None:
    """Where it came from, and notes, leave the hash alone."""

    def noted(body: dict[str, Any]) -> None:
        body["notes"] = ["by hand"]
        body["states"]["get"]["derived_from"] = ["t:s"]
        body["params"]["order"]["examples"] = ["W1"]

    assert playbook(noted).sha256 == playbook().sha256
    assert compared(playbook(), playbook(noted)).verdict == "same"


@pytest.mark.parametrize(
    ("change", "path", "verdict"),
    [
        (lambda b: b["params"].update(note={"required": False}), "playbook.params.note", "additive"),
        (lambda b: b["params"].update(note={}), "playbook.params.note", "breaking"),
        (lambda b: b["params"].pop("order"), "playbook.params.order", "breaking"),
        (lambda b: b["params"]["order"].update(type="integer"), "playbook.params.order.type", "breaking"),
        (lambda b: b["states"]["get"].update(safety="write"), "playbook.states.get.safety", "breaking"),
        (lambda b: b.update(description="Orders."), "playbook.description", "additive"),
    ],
)
def test_changes_of_a_playbook_are_judged(change: Any, path: str, verdict: str) -> None:
    """A parameter that nobody has to give is additive; what it does, or asks for, is breaking."""
    found = compared(playbook(), playbook(change))
    assert (found.verdict, [one.path for one in found.changes]) == (verdict, [path])
    assert found.diff.startswith("--- contracted (snapshot)\n+++ contracted (now)\n@@")


def test_changes_of_its_tools_are_judged() -> None:
    """A new argument that a tool insists on is breaking, one that it does not is additive; safety is breaking."""

    def tools(**more: Any) -> Any:
        schema = {
            "type": "object",
            "properties": {"order": {}, **more.pop("properties", {})},
            "required": ["order"],
        }
        return {"contract_get": {"safety": "read", "arguments": schema | more}}

    before = playbook(tools=tools())
    assert compared(before, playbook(tools=tools(properties={"x": {}}))).verdict == "additive"
    wanted = compared(before, playbook(tools=tools(properties={"x": {}}, required=["order", "x"])))
    assert wanted.verdict == "breaking"
    assert [one.path for one in wanted.changes if one.kind == "breaking"] == [
        "tools.contract_get.arguments.required.x"
    ]
    assert compared(before, playbook(tools={"contract_get": {"safety": "write"}})).verdict == "breaking"


def replays(*runs: list[Span]) -> list[Replay]:
    return [Replay.from_spans(spans) for spans in runs]


def test_an_agents_contract_is_what_was_seen() -> None:
    """Models, tools, shapes of arguments and results; one more run of the same kind changes nothing."""
    contract = of_runs("support", replays(run_spans(1), run_spans(2)))
    assert contract.says["models"] == ["gpt-5-mini"]
    assert contract.says["tools"]["get_order"] == {
        "safety": [],
        "arguments": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}},
            "required": ["order_id"],
        },
        "result": {"type": "object", "properties": {"state": {"type": "string"}}, "required": ["state"]},
        "fails": False,
    }
    assert contract.sha256 == of_runs("support", replays(run_spans(3))).sha256
    more = of_runs("support", replays(run_spans(1), run_spans(2, tool="get_user")))
    assert [(one.path, one.kind) for one in compared(contract, more).changes] == [
        ("tools.get_user", "additive")
    ]
    assert [(one.path, one.kind) for one in compared(more, contract).changes] == [
        ("tools.get_user", "breaking")
    ]
    failed = of_runs("support", replays(run_spans(1, error="gone")))
    assert compared(contract, failed).verdict == "breaking"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(JSON, min_size=1, max_size=5))
def test_every_value_fits_the_shape_of_all(values: list[Any]) -> None:
    """The schema that is made of values takes each of them, and does not depend on their order."""
    found = shape(values)
    jsonschema.Draft202012Validator.check_schema(found)
    for value in values:
        jsonschema.validate(value, found)
    assert shape(values[::-1]) == found


def test_a_map_is_no_object_with_a_thousand_properties() -> None:
    """Where keys are data they are left out, and the values have one shape."""
    orders = {f"W{n}": {"total": n} for n in range(1000)}
    found = shape([orders])
    assert found["additionalProperties"]["properties"] == {"total": {"type": "integer"}}
    assert "properties" not in found


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What somebody edited, what is no contract and what is not there are each one line."""
    file = tmp_path / "contract.json"
    snapshots.write(playbook(), file)
    assert snapshots.read(file) == playbook()
    file.write_text(file.read_text().replace("contract_get", "contract_set"))
    with pytest.raises(BadInput, match="does not have the hash"):
        snapshots.read(file)
    for text in ("{", "[]", '{"schema": "spanreel.contract.v1"}'):
        file.write_text(text)
        with pytest.raises(BadInput, match="is no contract"):
            snapshots.read(file)
    with pytest.raises(BadInput, match="cannot be read"):
        snapshots.read(tmp_path / "none.json")


def spanreel_does(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "spanreel", *words], cwd=folder, env=environment(folder), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_the_command_pins_a_playbook_with_its_tools_and_code(tmp_path: Path) -> None:
    """Exit code 0 while it is the same; 3 and a diff when the tool's signature or the function's code changed."""
    (tmp_path / "contracted.json").write_text(json.dumps({"spanreel": "playbook/v1", **BODY}))
    (tmp_path / "contract_tools.py").write_text(TOOLS)
    asked = ("contract", "contracted.json", "--tools", "contract_tools")
    made = spanreel_does(tmp_path, *asked, "--snapshot-out", "pinned.json")
    assert made.returncode == 0, made.stderr
    assert spanreel_does(tmp_path, *asked, "--check", "pinned.json").returncode == 0
    (tmp_path / "contract_tools.py").write_text(
        TOOLS.replace("order: str", "order: str, note: str | None = None")
    )
    more = spanreel_does(tmp_path, *asked, "--check", "pinned.json")
    assert (
        more.returncode,
        "additive: tools.contract_get.arguments.properties.note added" in more.stderr,
    ) == (3, True)
    assert spanreel_does(tmp_path, *asked, "--check", "pinned.json", "--allow-additive").returncode == 0
    (tmp_path / "contract_tools.py").write_text(TOOLS.replace("return 1", "return 2"))
    done = spanreel_does(tmp_path, *asked, "--check", "pinned.json", "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["schema"], said["verdict"]) == (
        3,
        "spanreel.contract_changes.v1",
        "breaking",
    )
    assert [one["path"] for one in said["changes"]] == ["code.contract_tools:total"]
    alone = spanreel_does(tmp_path, *asked[:2])
    assert "not registered here, so not in the contract: contract_get" in alone.stderr


def test_the_command_pins_an_agent_over_its_runs(tmp_path: Path) -> None:
    """Over all runs of an agent, or those that are named; playbooks and runs do not mix."""
    with open_writer(Path(os.environ["SPANREEL_STORE"])) as writer:
        writer.add([span for number in (1, 2) for span in run_spans(number)])
        writer.add(run_spans(3, tool="get_user"))
    assert (
        spanreel_does(tmp_path, "contract", "last~1", "last~2", "--snapshot-out", "pinned.json").returncode
        == 0
    )
    done = spanreel_does(tmp_path, "contract", "--agent", "support", "--check", "pinned.json")
    assert (done.returncode, done.stdout.startswith("--- support")) == (3, True)
    assert "additive: tools.get_user added" in done.stderr
    assert spanreel_does(tmp_path, "contract", "last~1", "--check", "pinned.json").returncode == 0
    assert spanreel_does(tmp_path, "contract").returncode == 2
    (tmp_path / "contracted.json").write_text(json.dumps({"spanreel": "playbook/v1", **BODY}))
    with pytest.raises(SpanreelError, match="one playbook, or of runs"):
        snapshots.contract_of([str(tmp_path / "contracted.json"), "last"])
    assert spanreel_does(tmp_path, "graph", "contracted.json").stdout.startswith("flowchart TD")
