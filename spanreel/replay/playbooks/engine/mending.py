"""LOUD: what a guided run mended: a state out of a patch while it runs, and a body of its own when it is over.

The body goes to the library as a candidate in review: what the run had is never changed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument.guard import log_once
from spanreel.replay.playbooks.body import Body, State

ORIGIN: Final = "repair:rule"


def patched_state(body: Body, name: str, patch: Any) -> State | None:
    """The state as a patch of the body makes it; None: the patch leaves it as it is, or takes it away.

    Raises:
        SpanreelError: it is no patch of this body.
    """
    from spanreel.replay.playbooks.repairs.patch import patched

    made = patched(body, patch)
    found = made.states.get(name)
    return None if found == body.states.get(name) else found


def mended_body(body: Body, mended: Mapping[str, State]) -> Body:
    """The body with the states that helped."""
    states = {**body.states, **mended}
    notes = [*body.notes, f"a guided run mended {', '.join(mended)}"]
    return body.model_copy(update={"states": states, "origin": ORIGIN, "notes": notes})


def keep(body: Body, mended: Mapping[str, State], run_id: str | None, store: Any = None) -> str | None:
    """Keep what was mended as a candidate in review; its hash. None where there is no store to keep it in.

    Args:
        body: that was run.
        mended: states by name.
        run_id: the run that mended it.
        store: where; default: the project's.
    """
    if not mended:
        return None
    from spanreel.replay.playbooks.governance.library import Library

    made = mended_body(body, mended)
    try:
        Library(store).add(
            made, origin=ORIGIN, parent=body.hash, reason=f"run {run_id} mended {', '.join(mended)}"
        )
    except (SpanreelError, OSError) as error:
        log_once("mended", "what a guided run mended is not kept: %s", error)
        return None
    return made.hash
