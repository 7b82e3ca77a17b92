"""Values survive the recording, or say that they do not; a recording cannot choose what code runs."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import uuid
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from spanreel.exceptions import BadInput
from spanreel.instrument import codec, decoder


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Item(BaseModel):
    sku: str
    price: Decimal
    extra: Any = None


@dataclass(frozen=True)
class Order:
    lines: list[Item]
    at: dt.datetime
    note: str = field(default="", init=False)


@dataclass(slots=True)
class Slotted:
    a: int


Point = namedtuple("Point", "x y")


class Refused(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**400)
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(alphabet=st.characters(categories=["Cs"]), max_size=3)
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.sampled_from([Colour.RED, Level.HIGH, Point(1, 2), Slotted(3), Path("/a/b"), 1j])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.just("$type"), inner)
        | st.dictionaries(st.integers(), inner)
        | st.tuples(inner, inner)
        | st.builds(Item, sku=st.text(), price=st.just(Decimal("1.10")), extra=st.just([Slotted(1)]))
    ),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    """Equal, and of the same types all the way down (0, 0.0 and False are equal to Python)."""
    return type(a) is type(b) and a == b and repr(a) == repr(b)


@given(values)
def test_every_value_comes_back_equal_and_of_its_type(value: object) -> None:
    """Encoding then decoding is the identity, and the text is UTF-8."""
    text = codec.encode(value)
    text.encode()
    assert codec.fidelity(text) == "exact"
    assert same(codec.decode(text), value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_json_can_say_stays_as_it_is(value: object) -> None:
    """Plain values are readable JSON, untagged."""
    if "$type" not in json.dumps(value):
        assert json.loads(codec.encode(value)) == value


def test_sets_nan_and_zones_survive() -> None:
    """What JSON has no word for keeps its meaning."""
    assert codec.decode(codec.encode({"a", "b"})) == {"a", "b"}
    assert codec.encode({"a", "b", "c"}) == codec.encode({"c", "b", "a"})
    assert math.isnan(codec.decode(codec.encode(math.nan)))
    assert codec.decode(codec.encode(-math.inf)) == -math.inf
    when = dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    again = codec.decode(codec.encode(when))
    assert (again, again.tzinfo, again.fold) == (when, when.tzinfo, 1)


def test_nested_models_and_dataclasses_keep_their_types() -> None:
    """A dataclass of models of typed values is rebuilt without running its constructor."""
    order = Order(
        [Item(sku="a", price=Decimal("9.90"), extra=Slotted(1))], dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    )
    again = codec.decode(codec.encode(order))
    assert again == order
    assert isinstance(again.lines[0].extra, Slotted)


def test_a_model_that_does_not_validate_again_is_opaque() -> None:
    """Exactness is checked, not assumed."""

    class Odd(BaseModel):
        model_config = {"frozen": True}
        stamp: float = 0.0

        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = None  # type: ignore[assignment]  # pydantic's own hash does not matter here

    assert codec.fidelity(codec.encode([Odd()])) == "opaque"


class Pair:
    """Knows its own form; `kept` says whether it is complete."""

    def __init__(self, a: object, b: object = None) -> None:
        self.a, self.b = a, b

    def to_dict(self) -> dict[str, object]:
        return {"a": self.a}

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Pair:
        return cls(data["a"])


class Strict(Pair):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strict) and (self.a, self.b) == (other.a, other.b)

    __hash__ = None  # type: ignore[assignment]  # not needed here


def test_a_class_that_knows_its_own_form_is_used_where_that_is_complete() -> None:
    """to_dict and from_dict, checked when it is written."""
    assert codec.decode(codec.encode(Pair((1, 2)))).a == (1, 2)
    assert codec.decode(codec.encode([Strict(1)])) == [Strict(1)]
    assert codec.fidelity(codec.encode(Strict(1, "lost"))) == "opaque"


def test_exceptions_come_back_with_class_arguments_and_state() -> None:
    """An exception whose __init__ wants other arguments than it keeps is still rebuilt."""
    again = codec.decode(codec.encode(Refused(7, "no")))
    assert (type(again), again.code, str(again)) == (Refused, 7, "no")
    missing = codec.decode(codec.encode(FileNotFoundError(2, "gone", "x")))
    assert (type(missing), missing.errno, missing.filename) == (FileNotFoundError, 2, "x")


def test_an_exception_of_an_unknown_class_is_a_runtime_error() -> None:
    """The agent still sees a failure with the recorded text."""
    again = codec.decode('{"$type":"exception","class":"no_such:Gone","message":"boom","args":[]}')
    assert type(again) is RuntimeError
    assert str(again) == "boom"


def test_raised_and_returned_exceptions_are_told_apart() -> None:
    """A tool may return an exception; only a raised one is raised again."""
    assert isinstance(codec.result(codec.encode_returned(ValueError("x"))), ValueError)
    with pytest.raises(ValueError, match="x"):
        codec.result(codec.encode(ValueError("x")))


def test_opaque_values_keep_their_text_without_addresses() -> None:
    """The same object in another process has the same text."""

    class Thing:
        pass

    text = codec.encode({"thing": Thing()})
    assert codec.fidelity(text) == "opaque"
    assert " at 0x" not in text
    assert codec.fidelity(codec.encode('{"$type":"opaque"}')) == "exact"


def test_self_reference_and_hostile_objects_do_not_raise() -> None:
    """Encoding never raises into the agent."""

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

        def __getattr__(self, name: str) -> object:
            raise RuntimeError("no")

    loop: list[object] = []
    loop.append(loop)
    assert codec.fidelity(codec.encode(loop)) == "opaque"
    assert codec.fidelity(codec.encode(Hostile())) == "opaque"


def test_decoding_imports_nothing_that_was_not_imported() -> None:
    """A recording cannot load a module of its choice, nor reach into one for something that is no class."""
    assert "antigravity" not in sys.modules
    for path in ("antigravity:fly", "os:system", "builtins:eval", "json:__builtins__"):
        for kind in ("model", "dataclass", "enum", "from_dict", "text", "namedtuple"):
            with pytest.raises(BadInput):
                codec.decode(
                    json.dumps({"$type": kind, "class": path, "value": "x", "items": [], "name": "x"})
                )
    assert "antigravity" not in sys.modules


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["$type", "class", "value", "items", "name", "args", "zone", "x"]), inner
        | st.sampled_from(["dict", "tuple", "set", "exception", "datetime", "bytes", "int", "builtins:int", "enum", "text", "uuid:UUID", "opaque"])),
    max_leaves=15,
)  # fmt: skip


@given(json_values.map(json.dumps) | st.text())
def test_any_bytes_decode_or_are_refused(text: str) -> None:
    """Bytes from outside either decode or raise BadInput."""
    try:
        codec.decode(text)
    except BadInput as error:
        refused = str(error)
        assert refused


def test_plain_is_what_people_read() -> None:
    """Tags do not show in the standard attributes."""
    value = {"item": Item(sku="a", price=Decimal("1.0")), "id": uuid.UUID(int=1), "s": (1, 2), 3: Colour.RED}
    assert codec.plain(value) == {
        "item": {"sku": "a", "price": "1.0", "extra": None},
        "id": "00000000-0000-0000-0000-000000000001",
        "s": [1, 2],
        "3": "RED",
    }


def test_classes_of_a_script_are_found_under_its_module_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded as `__main__`, loaded here as a module."""
    monkeypatch.setattr(decoder, "_moved", {})
    text = codec.encode([Slotted(1), Refused(1, "x")]).replace(f"{__name__}:", "__main__:")
    with pytest.raises(BadInput, match="__main__:Slotted"):
        codec.decode(text)
    codec.moved("__main__", __name__)
    slotted, refused = codec.decode(text)
    assert slotted == Slotted(1)
    assert type(refused) is Refused
