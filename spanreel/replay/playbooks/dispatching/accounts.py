"""LOUD: what a dispatch decided and saved, as its span keeps it; the figures are those that were recorded."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spanreel.instrument import recorder
from spanreel.replay.playbooks.result import PlaybookResult, Saved
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.dispatching.dispatched import Dispatched, Extracted
    from spanreel.replay.playbooks.governance.library import Entry


def span_says(made: Dispatched) -> dict[str, Any]:
    """The attributes of the span of a decision."""
    gates = [
        {
            "name": one.name,
            "hash": one.hash,
            "fits": one.fits,
            "against": [why.code for why in one.reasons_against],
        }
        for one in made.considered
    ]
    said: dict[str, Any] = {
        names.DECISION: "dispatch",
        names.DECISION_TO: made.by,
        names.DECISION_REASON: f"{made.reason.code}: {made.reason.text}" if made.reason else None,
        names.DECISION_GATES: json.dumps(gates, ensure_ascii=False) if gates else None,
        names.DECISION_RUNS: [made.run_id] if made.run_id else None,
        names.PLAYBOOK_NAME: made.playbook.name if made.playbook else None,
        names.PLAYBOOK_HASH: made.playbook.hash if made.playbook else None,
        names.PLAYBOOK_AVOIDED: made.saved.to_json() if made.saved else None,
    }
    return {key: value for key, value in said.items() if value is not None}


def avoided_of(entry: Entry) -> dict[str, Any] | None:
    """What one source run of a body needed of models, as its compiler said; an average, where there are several."""
    report: Any = entry.report
    if isinstance(report, str):
        report = json.loads(report)
    found = report.get("savings") if isinstance(report, dict) else None
    return found if isinstance(found, dict) else None


def spent(
    calls: int, own: Extracted | None, result: PlaybookResult, store: str | os.PathLike[str] | None
) -> Saved:
    """What the models used that were asked after all, as far as it was recorded."""
    from spanreel.replay.load import load

    tokens = (own.tokens or 0) if own else 0
    cost = Decimal(own.cost) if own and own.cost else Decimal(0)
    known = own is None or own.cost is not None
    if result.model_calls and result.run_id:
        found = recorder.current()
        if found is not None:
            found.flush()
        replay = load(result.run_id, store)
        tokens += replay.spent_tokens.total_tokens or 0
        known = known and replay.spent_cost is not None
        cost += Decimal(replay.spent_cost or 0)
    return Saved(model_calls=calls, tokens=tokens, cost=str(cost) if known else None, seconds=None)
