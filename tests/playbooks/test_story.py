"""The example's story: from three runs to a playbook that is trusted, stopped, repaired and trusted again."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, environment

EXAMPLE = ROOT / "examples" / "returns"


@pytest.fixture(scope="module")
def story() -> Any:
    """The example's module, found as a program in its folder finds it."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module("story")
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.mark.timeout(300)  # two dozen processes, one after the other
def test_each_step_ends_as_it_says_and_tells_what_it_did(story: Any, tmp_path: Path) -> None:
    """Three runs become a playbook; evidence promotes it, a guard stops it, a review lets its repair in."""
    folder = story.prepared(tmp_path / "story")
    server = story.serving()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    environ = environment(tmp_path, OPENAI_API_KEY="none", OPENAI_BASE_URL=url, COLUMNS="80")
    environ = {
        key: text for key, text in environ.items() if key not in ("SPANREEL_STORE", "SHOP_API", "SHOP")
    }
    try:
        done = list(story.told(folder, environ))
    finally:
        server.shutdown()
        server.server_close()
    wrong = [one.step.command + "\n" + one.output for one in done if one.code != one.step.code]
    assert wrong == []
    said = {one.step.command: one.output for one in done}
    for command, lines in SAID.items():
        for line in lines:
            assert line in said[command], f"{command}\n{said[command]}"
    orders = json.loads((folder / "shop.json").read_text("utf-8"))
    back = sorted(order for order, one in orders.items() if one["status"] == "return requested")
    assert back == [f"W{1000 + number}" for number in range(1, 12)]


SAID = {
    "spanreel playbook compile last~2 last~1 last --name return-item": [
        "refund_to = {{ order.payment_id }}",
        "sku = {{ order.items[?@.name == $.params.item].sku }}",
        "saves, for each run: 3 model calls, ",
        "checked: 3 of 3 source runs are done again exactly",
        "is a candidate",
    ],
    "spanreel playbook promote return-item": ["is active, was candidate"],
    "spanreel playbook shadow return-item --over agent=support": ["6 the same; score 1.00"],
    "python desk.py W1007 lamp": ["done by return-item@1: ", "saved: 3 model calls, "],
    "python desk.py W1008 chair": [
        "done by agent: The chair may come back",
        "stopped_before_write: expect at find_order: ",
        "'payment_id'",
        "→ spanreel playbook repair return-item --like ",
    ],
    "spanreel playbook repair return-item --like last --tools shop": [
        "renamed output key: in what find_order gives, payment_id is refund_to now",
        "~ states.return_item.args.refund_to: {{ order.payment_id }} → {{ order.refund_to }}",
        "is in review",
    ],
    'spanreel playbook review return-item@2 --approve --reason "the supplier renamed it"': [
        "✓ shows the new way",
        "return-item@2",
        "is approved: shadow",
    ],
    "spanreel playbook promote return-item@2": ["is active, was shadow", "return-item@1 is retired"],
    "python desk.py W1010 kettle": ["done by agent: ", "needs_repair: return-item@1: "],
    "python desk.py W1011 chair": ["done by return-item@2: ", "saved: 3 model calls, "],
    "spanreel show last": ['params    {"item": "lamp", "order_id": "W1007"}', "find_order → return_item"],
    "spanreel playbook why return-item": [
        "the supplier renamed it",
        "repair:rule of return-item@1",
        "decided about return-item@1  retired",
        "superseded needs_repair → retired",
    ],
}
"""Lines of what the last step with this command prints."""
