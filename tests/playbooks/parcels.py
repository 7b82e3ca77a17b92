"""A small world of parcels for the tests of repairs: tools, a playbook over them, and runs of an agent."""

from __future__ import annotations

from typing import Any

import spanreel
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.entry import Wanted, run_body
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.result import PlaybookResult

PARCELS: dict[str, dict[str, Any]] = {
    "P-1001": {
        "status": "packed",
        "owner": {"mail": "ann@example.org"},
        "boxes": [{"box_id": "BX-77", "kg": 3}],
    },
    "P-1002": {
        "status": "packed",
        "owner": {"mail": "bob@example.org"},
        "boxes": [{"box_id": "BX-81", "kg": 5}],
    },
}
DONE: list[tuple[str, dict[str, Any]]] = []
"""What the writing tools were called with."""

DOCUMENT: dict[str, Any] = {
    "name": "send-parcel",
    "goal": "send a parcel",
    "params": {"parcel": {"type": "string", "pattern": "P-[0-9]+"}},
    "matchers": {"goal": ["parcel"]},
    "initial": "look",
    "states": {
        "look": {
            "tool": "look_at_parcel",
            "args": {"parcel_id": "{{ params.parcel }}"},
            "save_as": "parcel",
            "expect": {"json": {"status": "packed"}},
            "safety": "read",
            "next": "send",
        },
        "send": {
            "tool": "send_the_box",
            "args": {"box": "{{ parcel.boxes[0].box_id }}", "mail": "{{ parcel.owner.mail }}"},
            "post": [{"json": "sent", "equals": True}],
            "next": "end",
        },
    },
}


def playbook(**over: Any) -> Body:
    return Body.model_validate(DOCUMENT | over)


def world() -> None:
    """The tools as they were."""
    DONE.clear()

    @spanreel.tool(safety="read")
    def look_at_parcel(parcel_id: str) -> dict[str, Any]:
        if parcel_id not in PARCELS:
            raise LookupError(f"no parcel {parcel_id}")
        return PARCELS[parcel_id]

    @spanreel.tool
    def send_the_box(box: str, mail: str) -> dict[str, Any]:
        DONE.append(("send_the_box", {"box": box, "mail": mail}))
        return {"sent": True}


def renamed_argument() -> Any:
    """The world in which a box is called `box_id`."""

    @spanreel.tool
    def send_the_box(box_id: str, mail: str) -> dict[str, Any]:
        DONE.append(("send_the_box", {"box_id": box_id, "mail": mail}))
        return {"sent": True}

    return lambda parcel: send_the_box(box_id=parcel["boxes"][0]["box_id"], mail=parcel["owner"]["mail"])


def renamed_output() -> Any:
    """The world in which the boxes of a parcel are its `items`."""

    @spanreel.tool(safety="read")
    def look_at_parcel(parcel_id: str) -> dict[str, Any]:
        parcel = PARCELS[parcel_id]
        return {("items" if key == "boxes" else key): value for key, value in parcel.items()}

    return look_at_parcel


def executed(body: Body, parcel: str = "P-1001", **wanted: Any) -> PlaybookResult:
    """An execution of the playbook."""
    return run_body(body, Wanted({"parcel": parcel}, **wanted))


def active(library: Library, body: Body | None = None) -> Body:
    """The playbook, in the library and active."""
    found = body or playbook()
    entry = library.add(found, reason="for a test")
    figure = {"gate": "test", "wanted": 0, "found": 0, "passed": True, "text": "a test"}
    library.decide(entry, "promote", to="active", gates=[figure], reason="for a test", actor="test")
    return found


# repairers


def better_send(body: Body, failure: Any, run: Any) -> Any:
    """The state as it has to be now."""
    state = body.states["send"]
    args = {("box_id" if key == "box" else key): value for key, value in state.args.items()}
    return state.model_copy(update={"args": args}) if failure.state == "send" and run.tool_calls else None


def worse_send(_body: Body, _failure: Any, _run: Any) -> Any:
    """A patch that leads to another call than the run made."""
    return [{"op": "replace", "path": "/states/send/args/box", "value": "BX-1"}]


def no_idea(_body: Body, _failure: Any, _run: Any) -> Any:
    """A repairer that knows nothing."""
    return None


def breaks(_body: Body, _failure: Any, _run: Any) -> Any:
    """A repairer that fails."""
    raise RuntimeError("oh")
