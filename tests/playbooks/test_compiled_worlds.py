"""Random worlds and procedures: compiled from some runs, the playbook writes in another run what is right, or nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from procedures import Agent

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.compiling.observed import Observed
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.compiling.values import key

WORDS = ["red", "blue", "green", "small", "large"]
FIELDS = ["colour", "size", "level", "stock", "flag", "code"]


def _identity(prefix: str) -> st.SearchStrategy[str]:
    return st.integers(10_000, 99_999).map(lambda number: f"{prefix}{number}")


WEAK = st.one_of(st.sampled_from(WORDS), st.integers(0, 3), st.booleans())
FIELD = {
    "colour": st.sampled_from(WORDS),
    "size": st.sampled_from(WORDS),
    "level": st.integers(0, 3),
    "stock": st.integers(0, 3),
    "flag": st.booleans(),
    "code": _identity("C"),
}
PART = st.fixed_dictionaries({**FIELD, "part_id": _identity("P"), "maker": _identity("M")})
RECORD = st.fixed_dictionaries(
    {
        **FIELD,
        "owner": _identity("U"),
        "site": _identity("S"),
        "parts": st.lists(PART, min_size=1, max_size=4, unique_by=lambda part: part["part_id"]),
    }
)
PERSON = st.fixed_dictionaries(
    {**FIELD, "email": _identity("e").map(lambda name: f"{name}@example.org"), "home": _identity("H")}
)
SITE = st.fixed_dictionaries({**FIELD, "desk": _identity("D")})
INPUT = st.fixed_dictionaries({**FIELD, "wanted": st.sampled_from(WORDS)})
TASK = st.fixed_dictionaries(
    {"record": RECORD, "person": PERSON, "site": SITE, "input": INPUT, "number": st.integers(10_000, 99_999)}
)
"""What one run is about."""

SOURCE = st.one_of(
    st.tuples(st.just("input"), st.sampled_from([*FIELDS, "wanted"])),
    st.tuples(st.just("record"), st.sampled_from([*FIELDS, "owner", "site"])),
    st.tuples(st.just("person"), st.sampled_from([*FIELDS, "email", "home"])),
    st.tuples(st.just("site"), st.sampled_from([*FIELDS, "desk"])),
    st.tuples(st.just("first"), st.sampled_from(["part_id", "maker", "colour", "level"])),
    st.tuples(st.just("last"), st.sampled_from(["part_id", "maker"])),
    st.tuples(st.just("named"), st.sampled_from(["part_id", "maker"])),
    st.tuples(st.just("constant"), WEAK),
    st.tuples(st.just("joined"), st.sampled_from(["owner", "site"])),
    st.tuples(st.just("all"), st.just("part_id")),
)
"""Where an argument of the write comes from, in truth."""
ONE_SOURCE = st.fixed_dictionaries(
    {
        "sources": st.lists(
            st.sampled_from(
                [
                    ("first", "level"),
                    ("first", "colour"),
                    ("last", "colour"),
                    ("record", "flag"),
                    ("site", "level"),
                    ("input", "flag"),
                ]
            ),
            min_size=1,
            max_size=1,
        ),
        "looks": st.booleans(),
        "text": st.booleans(),
    }
)
"""One argument, of a kind that is often equal by chance."""
PROCEDURE = st.fixed_dictionaries(
    {"sources": st.lists(SOURCE, min_size=1, max_size=4), "looks": st.booleans(), "text": st.booleans()}
)


def _value(source: tuple[str, Any], task: dict[str, Any], order: str) -> Any:
    where, what = source
    parts = task["record"]["parts"]
    if where in ("input", "record", "person", "site"):
        return task[where][what]
    if where == "constant":
        return what
    if where == "joined":
        return f"{order}: to {task['record'][what]} ({task['site']['desk']})"
    if where == "all":
        return [part[what] for part in parts]
    if where == "named":
        return next(
            (part[what] for part in parts if part["colour"] == task["input"]["wanted"]), parts[0][what]
        )
    return parts[0 if where == "first" else -1][what]


def _does(procedure: dict[str, Any], task: dict[str, Any], place: int) -> Observed:
    order = f"#R{task['number']}"
    agent = Agent(
        {
            "get_record": ("read", lambda record_id: {"record_id": record_id, **task["record"]}),
            "get_person": ("read", lambda person_id: {"person_id": person_id, **task["person"]}),
            "get_site": ("read", lambda site_id: {"site_id": site_id, **task["site"]}),
            "change": ("write", lambda **arguments: {"done": True}),
        }
    )
    given: Any = {**task["input"], "record_id": order}
    if procedure["text"]:
        given = {"task": f"please see to {order}", **task["input"]}
    record = agent.calls("get_record", record_id=order)
    agent.calls("get_site", site_id=record["site"])
    if procedure["looks"] or any(where == "person" for where, _ in procedure["sources"]):
        agent.calls("get_person", person_id=record["owner"])
    arguments = {f"a{at}": _value(source, task, order) for at, source in enumerate(procedure["sources"])}
    agent.calls("change", record_id=order, **arguments)
    return agent.run(f"{place:032x}", given)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(st.one_of(PROCEDURE, ONE_SOURCE), st.lists(TASK, min_size=2, max_size=5))
def test_what_is_written_is_right_or_nothing_is(
    procedure: dict[str, Any], tasks: list[dict[str, Any]]
) -> None:
    """A playbook of k runs, walked over another one with that run's parameters, writes what that run wrote, or stops."""
    *known, held_out = [_does(procedure, task, place) for place, task in enumerate(tasks)]
    try:
        compiled = compile_runs(known, "change-it")
    except NotCompilable as error:
        event(f"not compiled: {error.reason}")
        return
    assert all(check.exact for check in compiled.report.checked)
    filled = params_of(compiled.body, held_out)
    if filled.why_not is not None:
        event("not filled")
        return
    walkthrough = over(compiled.body, held_out, filled.params)
    wrote = [one.args for one in walkthrough.proposed if one.safety != "read"]
    meant = [call.arguments for call in held_out.calls if call.safety != "read"]
    event(f"{len(known)} runs: {'stopped' if not wrote else 'wrote'}")
    assert not wrote or Counter(map(key, wrote)) == Counter(map(key, meant))
