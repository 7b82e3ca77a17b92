"""Random worlds for the compiler: records that know each other, a procedure over them, runs of an agent that follows it.

Everything is drawn from one `Random`, so that a seed is a world. Values are often equal by chance, on purpose.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from procedures import Agent

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.compiling.observed import Observed
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.compiling.values import key

WORDS = ("red", "blue", "green", "small", "large")
FIELDS = ("colour", "size", "level", "stock", "flag", "code")
Source = tuple[str, Any]
"""Where an argument comes from, in truth: a place, and what of it."""
SOURCES: dict[str, tuple[Any, ...]] = {
    "input": (*FIELDS, "wanted", "item", "amount"),
    "record": (*FIELDS, "owner", "site", "total"),
    "person": (*FIELDS, "email", "home"),
    "site": (*FIELDS, "desk", "keeper"),
    "keeper": (*FIELDS, "email", "home"),
    "first": ("part_id", "maker", "colour", "level", "price"),
    "last": ("part_id", "maker", "price"),
    "wanted": ("part_id", "maker", "price"),
    "item": ("part_id", "maker", "price", "colour"),
    "constant": (*WORDS, 0, 1, 2, 3, True, False, "Gift", 250, "K90210"),
    "joined": ("owner", "site"),
    "all": ("part_id", "name"),
    "sum": ("price",),
}


@dataclass(frozen=True)
class Procedure:
    """What is done in every run. writes: sources of the arguments of each. optional: an argument, where there is a note.

    looks: it looks at what it does not need. words: the order is told in words, not in the input by name. swaps: runs
    make the two writes in either order.
    """

    writes: tuple[tuple[Source, ...], ...]
    looks: bool
    words: bool
    swaps: bool
    optional: bool


def procedure(rng: Random) -> Procedure:
    """Any procedure."""

    def source() -> Source:
        where = rng.choice(tuple(SOURCES))
        return where, rng.choice(SOURCES[where])

    writes = tuple(tuple(source() for _ in range(rng.randint(1, 3))) for _ in range(rng.choice((1, 1, 2))))
    return Procedure(writes, rng.random() < 0.5, rng.random() < 0.3, rng.random() < 0.3, rng.random() < 0.1)


def _identity(rng: Random, prefix: str, few: bool) -> str:
    return f"{prefix}{rng.choice((10001, 20002)) if few else rng.randint(10_000, 99_999)}"


def _fields(rng: Random, few: bool) -> dict[str, Any]:
    return {
        "colour": rng.choice(WORDS),
        "size": rng.choice(WORDS),
        "level": rng.randint(0, 3),
        "stock": rng.randint(0, 3),
        "flag": rng.random() < 0.5,
        "code": _identity(rng, "C", few),
    }


def task(rng: Random, *, few: bool, longest: int) -> dict[str, Any]:
    """What a run is about. few: identities are of two values only; longest: of its list."""
    names = rng.sample(("lamp", "desk lamp", "chair", "table", "rug"), longest)
    parts = [
        {
            "part_id": f"P{rng.randint(10_000, 99_999)}",
            "name": names[place],
            "maker": _identity(rng, "M", few),
            "price": rng.choice((10, 25, 49.5, 120, 1299)),
            **_fields(rng, few),
        }
        for place in range(rng.randint(1, longest))
    ]
    found: dict[str, Any] = {
        "number": rng.randint(10_000, 99_999),
        "record": {
            **_fields(rng, few), "owner": _identity(rng, "U", few), "site": _identity(rng, "S", few),
            "total": sum(part["price"] for part in parts), "parts": parts,
        },
        "person": {**_fields(rng, few), "email": f"{_identity(rng, 'e', few)}@example.org", "home": _identity(rng, "H", few)},
        "site": {**_fields(rng, few), "desk": _identity(rng, "D", few), "keeper": _identity(rng, "U", few)},
        "keeper": {**_fields(rng, few), "email": f"{_identity(rng, 'e', few)}@example.org", "home": _identity(rng, "H", few)},
        "input": {**_fields(rng, few), "wanted": rng.choice(parts)["colour"], "item": rng.choice(parts)["name"], "amount": rng.choice((10, 25, 120, 999))},
    }  # fmt: skip
    if rng.random() < 0.2:  # a value that stands in two places
        found["site"]["desk"] = found["record"]["site"]
    if rng.random() < 0.2:
        found["site"]["keeper"] = found["record"]["owner"]
    if found["site"]["keeper"] == found["record"]["owner"]:
        found["keeper"] = found["person"]
    if rng.random() < 0.2:
        found["input"]["code"] = found["record"]["code"]
    if rng.random() < 0.2:
        found["input"]["amount"] = found["record"]["total"]
    return found


def tasks(rng: Random) -> list[dict[str, Any]]:
    """Those of up to four runs that are known, and of one that is not."""
    few, longest = rng.random() < 0.3, rng.randint(1, 4)
    return [task(rng, few=few, longest=longest) for _ in range(rng.randint(2, 5))]


def value(source: Source, about: dict[str, Any], order: str) -> Any:
    """What a source is, in one run."""
    where, what = source
    parts = about["record"]["parts"]
    if where in ("input", "record", "person", "site", "keeper"):
        return about[where][what]
    match where:
        case "constant":
            return what
        case "joined":
            return f"{order}: to {about['record'][what]} ({about['site']['desk']})"
        case "all":
            return [part[what] for part in parts]
        case "sum":
            return sum(part[what] for part in parts)
        case "wanted":
            return next(one[what] for one in parts if one["colour"] == about["input"]["wanted"])
        case "item":
            return next(one[what] for one in parts if one["name"] == about["input"]["item"])
        case _:
            return parts[0 if where == "first" else -1][what]


def run(rng: Random, done: Procedure, about: dict[str, Any], place: int) -> Observed:
    """What an agent that follows the procedure records."""
    order = f"#R{about['number']}"
    people = {about["site"]["keeper"]: about["keeper"], about["record"]["owner"]: about["person"]}
    agent = Agent(
        {
            "get_record": ("read", lambda record_id: {"record_id": record_id, **about["record"]}),
            "get_person": ("read", lambda person_id: {"person_id": person_id, **people[person_id]}),
            "get_site": ("read", lambda site_id: {"site_id": site_id, **about["site"]}),
            "change": ("write", lambda **arguments: {"done": True}),
            "notify": ("write", lambda **arguments: {"sent": True}),
        }
    )
    given: Any = {**about["input"], "record_id": order}
    if done.words:
        given = {"task": f"please see to {order}", **about["input"]}
    if done.optional and (place == 0 or rng.random() < 0.5):
        given["note"] = f"N{rng.randint(10_000, 99_999)}"
    record = agent.calls("get_record", record_id=order)
    site = agent.calls("get_site", site_id=record["site"])
    needs = {where for write in done.writes for where, _ in write}
    ahead = rng.random() < 0.5
    for who, where in ((site["keeper"], "keeper"), (record["owner"], "person"))[:: 1 if ahead else -1]:
        if where in needs or (done.looks and rng.random() < 0.7):
            agent.calls("get_person", person_id=who)
    named = [
        (
            tool,
            {
                "record_id": order,
                **{f"a{at}": value(source, about, order) for at, source in enumerate(write)},
            },
        )
        for tool, write in zip(("change", "notify"), done.writes, strict=False)
    ]
    if "note" in given:
        named[0][1]["note"] = given["note"]
    for tool, arguments in reversed(named) if done.swaps and rng.random() < 0.5 else named:
        agent.calls(tool, **arguments)
    return agent.run(f"{place:032x}", given)


@dataclass(frozen=True)
class Outcome:
    """What a playbook of all runs but the last did in that one.

    how: exact, nothing (it stopped before it wrote), partly (after it wrote what was right), wrong, not filled (its
    parameters are not known), or why it was not compiled. runs: that it was compiled from. wrong: what it wrote.
    """

    how: str
    runs: int
    wrong: str = ""


def outcome(rng: Random) -> Outcome:
    """Draw a world, compile all runs but one, walk the playbook over that one."""
    done = procedure(rng)
    *known, held = [run(rng, done, about, place) for place, about in enumerate(tasks(rng))]
    count = len(known)
    try:
        compiled = compile_runs(known, "change-it")
    except NotCompilable as error:
        return Outcome(f"not compiled: {error.reason}", count)
    filled = params_of(compiled.body, held)
    if filled.why_not is not None:
        return Outcome("not filled", count)
    walkthrough = over(compiled.body, held, filled.params)
    wrote = Counter(key([one.tool, dict(one.args)]) for one in walkthrough.writes)
    meant = Counter(key([call.tool, call.arguments]) for call in held.calls if call.safety != "read")
    if wrote - meant:
        states = {name: (state.args, state.pre) for name, state in compiled.body.states.items()}
        return Outcome("wrong", count, f"{done}: {sorted(wrote)} for {sorted(meant)} by {states}")
    if not wrote:
        return Outcome("nothing", count)
    return Outcome("exact" if wrote == meant else "partly", count)
