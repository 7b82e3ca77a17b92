"""Whether a result is what a state expects: exact by its hash, in part, by its shape, by text, or within a tolerance.

Quiet. Every key that is given has to fit; what is found instead is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.binding import Unbound, Variables, bind, found
from spanreel.replay.playbooks.conditions import Judgement, equal, judge, of_result, schema_problem
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Expect


def content_hash(value: Any) -> str:
    """The content id of a result: of its text, or of its canonical JSON."""
    text = value if isinstance(value, str) else canonical_json(value)
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def as_expected(expect: Expect | None, value: Any, variables: Variables) -> Judgement:
    """Whether a result is as expected; with nothing expected, it is.

    Args:
        expect: what is expected, with bindings.
        value: the result, as JSON.
        variables: of the playbook.
    """
    if expect is None:
        return Judgement(True, "nothing is expected")
    try:
        problem = _problem(expect, value, variables)
    except Unbound as error:
        return Judgement(None, str(error))
    except (RecursionError, TypeError, ValueError) as error:  # of what is no JSON
        return Judgement(None, f"the result cannot be compared: {type(error).__name__}: {error}")
    return Judgement(problem is None, problem or "as expected")


def _problem(expect: Expect, value: Any, variables: Variables) -> str | None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if expect.hash is not None and content_hash(value) != expect.hash:
        return f"its hash is {content_hash(value)[:19]}…, and not {expect.hash[:19]}…"
    if expect.json_ is not None and (missing := absent(bind(expect.json_, variables), value)):
        return missing
    if expect.shape is not None and (problem := schema_problem(value, expect.shape)):
        return f"its shape differs at {problem}"
    if expect.regex is not None:
        judged = judge({"var": "text", "matches": expect.regex}, {"text": text})
        if judged.holds is None:
            raise Unbound(judged.why)
        if not judged:
            return f"it does not match {expect.regex}: {text[:60]}"
    for part in expect.contains or ():
        if str(bind(part, variables)) not in text:
            return f"it does not contain {part!r}: {text[:60]}"
    for path, limits in (expect.tolerance or {}).items():
        if problem := _out_of(path, limits, value):
            return problem
    return None


def absent(wanted: Any, value: Any, where: str = "$") -> str | None:
    """What of a part is not there: objects by their keys, everything else equal; None: it is all there."""
    if isinstance(wanted, Mapping):
        if not isinstance(value, Mapping):
            return f"{where} is no object"
        for key, item in wanted.items():
            if key not in value:
                return f"{where}.{key} is not there"
            if problem := absent(item, value[key], f"{where}.{key}"):
                return problem
        return None
    if equal(wanted, value):
        return None
    return f"{where} is {_short(value)}, and not {_short(wanted)}"


def _out_of(path: str, limits: Mapping[str, float], value: Any) -> str | None:
    values = found(of_result(path), {"result": value})
    middle, within = limits.get("value", 0.0), limits.get("within", 0.0)
    if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], (int, float)):
        return f"{path} is no number"
    try:
        near = abs(values[0] - middle) <= within  # of what is no number, nothing is
    except OverflowError:
        near = False
    if not near:
        return f"{path} is {values[0]}, more than {within} away from {middle}"
    return None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
