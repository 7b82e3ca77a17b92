"""Bindings: what stands between braces is a path or a constant, keeps its type, and is never code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.playbooks.binding import Unbound, bind, bindings, literal, parse

VARIABLES: dict[str, Any] = {
    "params": {"item": "lamp", "count": 2, "a-b": "hyphen", "on": True, "none": None},
    "order": {
        "status": "delivered",
        "total": 12.5,
        "items": [
            {"name": "lamp", "id": "i1"},
            {"name": "desk", "id": "i2"},
            {"name": "lamp }}", "id": "i3"},
        ],
    },
    "user-1": {"id": "u"},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ params.count }}", 2),
        ("{{params.count}}", 2),
        ("{{ params.on }}", True),
        ("{{ params.none }}", None),
        ("{{ order.items[0] }}", {"name": "lamp", "id": "i1"}),
        ("{{ order.items[-1].id }}", "i3"),
        ("{{ order.items[?@.name == $.params.item].id }}", "i1"),
        ("{{ order.items[?@.name == 'lamp }}'].id }}", "i3"),
        ("{{ params['a-b'] }}", "hyphen"),
        ("{{ user-1.id }}", "u"),
        ("{{ order.items[*].id | list }}", ["i1", "i2", "i3"]),
        ("{{ order.items[?@.name == 'nothing'] | list }}", []),
        ("{{ order.items[*] | count }}", 3),
        ("{{ order.items[?@.id == 'i1' || @.id == 'i2'].id | list }}", ["i1", "i2"]),
        ("{{ params.item | upper }}", "LAMP"),
        ("{{ params.none | text }}", ""),
        ("{{ params.count | text }}", "2"),
        ('{{ "12.50" | number }}', 12.5),
        ('{{ "  7 " | number }}', 7),
        ('{{ "[1]" | json }}', [1]),
        ("{{ true }}", True),
        ("{{ -1.5 }}", -1.5),
        ('{{ "{{ not a binding }}" }}', "{{ not a binding }}"),
        ("it's {{ params.item }}'s", "it's lamp's"),
        ("{{ params.item }} x{{ params.count }}: {{ order.total }} {{ params.on }} {{ params.none }}", "lamp x2: 12.5 true null"),
        ("{ {{ params.item }} }", "{ lamp }"),
        ("no braces }} here", "no braces }} here"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_binding_has_the_value_it_names(template: str, value: object) -> None:
    """Alone it keeps its type; in a longer text, texts go in as they are and everything else as JSON."""
    found = bind(template, VARIABLES)
    assert found == value
    assert type(found) is type(value)


def test_everything_in_a_value_is_bound() -> None:
    """Lists and objects are gone through; keys stay as they are."""
    value = {"{{ params.item }}": ["{{ params.count }}", {"x": "{{ params.item }}"}, 3, None]}
    assert bind(value, VARIABLES) == {"{{ params.item }}": [2, {"x": "lamp"}, 3, None]}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ order.nothing }}", "finds nothing"),
        ("{{ order.items[*].id }}", "finds 3 values"),
        ("{{ missing }}", "finds nothing"),
        ("{{ order.total | upper }}", "upper cannot be made of 12.5"),
        ('{{ "NaN" | number }}', "number cannot be made of NaN"),
        ('{{ "1_000" | number }}', "number cannot be made of 1_000"),
        ('{{ "1e999" | number }}', "number cannot be made of 1e999"),
        ("{{ params.on | number }}", "number cannot be made of true"),
        ("{{ params.none | number }}", "number cannot be made of null"),
        ('{{ "NaN" | json }}', "json cannot be made of NaN"),
        ('{{ "[" | json }}', "json cannot be made of ["),
    ],
)
def test_a_binding_without_a_value_is_an_error(template: str, says: str) -> None:
    """What finds nothing, several values, or what a filter cannot take, is told, never guessed."""
    with pytest.raises(Unbound, match=says.replace("[", r"\[")):
        bind(template, VARIABLES)


@pytest.mark.parametrize(
    "template",
    [
        "{{ __import__('os').system('true') }}",
        "{{ params.item.upper() }}",
        "{{ params.__class__.__mro__ }}{{ ().x }}",
        "{{ params.item | eval }}",
        "{{ params.item | attr('x') }}",
        "{{ [x for x in params] }}",
        "{{ 1 + 1 }}",
        "{{ params.a-b }}",
        "{{ $.params.item }}",
        "{{ -Infinity }}",
        "{{ 1e999 }}",
        "{{ }}",
        "{{ | list }}",
        "{{ params.item",
        "{{ params.item }",
        "{{ 'single' }}",
        "{{ order..a..b..c }}",
        "{{ order.items[ }}",
        "{{ params.item || order }}",
    ],
)
def test_what_is_no_binding_cannot_be_read(template: str) -> None:
    """Code, calls, unknown filters, unclosed braces: refused when they are read, before any value is there."""
    with pytest.raises(Unbound):
        list(bindings(template))


def test_no_attribute_of_a_value_is_reached() -> None:
    """A path sees the keys of objects and the entries of lists, and nothing else of a value."""
    for path in ("params.__class__", "order.items.append", "params.item.__len__"):
        with pytest.raises(Unbound, match="finds nothing"):
            bind(f"{{{{ {path} }}}}", VARIABLES)


def test_what_json_cannot_say_is_in_no_text() -> None:
    """A value that is no JSON may be handed on as it is; made into text it is an error of its binding."""
    now = datetime.now(UTC)
    assert bind("{{ at }}", {"at": now}) is now
    with pytest.raises(Unbound, match="no text can be made of datetime"):
        bind("at {{ at }}", {"at": now})


@pytest.mark.parametrize(
    ("template", "roots", "params"),
    [
        ("{{ order.id }}", {"order"}, set()),
        ("{{ order.items[?@.name == $.params.item].id }}", {"order", "params"}, {"item"}),
        ("{{ order.items[?@.name == $['params']['a-b']].id }}", {"order", "params"}, {"a-b"}),
        ("{{ order.items[?@.name == '$.secret.x'].id }}", {"order"}, set()),
        ("{{ params['a-b'] }}", {"params"}, {"a-b"}),
        ("{{ params.item }}", {"params"}, {"item"}),
        ("{{ order.params.item }}", {"order"}, set()),
        ("{{ 12 }}", set(), set()),
    ],
)
def test_what_a_binding_needs(template: str, roots: set[str], params: set[str]) -> None:
    """Its variables, and the parameters by name, those inside of a filter expression too."""
    (found,) = bindings(template)
    assert (found.roots(), found.params()) == (roots, params)


@given(JSON)
def test_a_constant_stays_what_it_is(value: object) -> None:
    """Whatever braces it holds, as a template it means itself."""
    assert bind(literal(value), {}) == value


@given(st.text(alphabet="{}|$.@?[]'\"\\ aiox01-_()*,:=!<&\n"))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    """No text makes the reader of templates fail in another way."""
    for each in (text, f"{{{{{text}}}}}"):
        try:
            parse(each)
            bind(each, VARIABLES)
        except Unbound:
            continue


@pytest.mark.timeout(30)
def test_a_pattern_in_a_path_ends() -> None:
    """A search that would take for ever is an error within about a second."""
    with pytest.raises(Unbound, match="searched for longer"):
        bind("{{ x[?search(@, '(a|aa)+c')] | list }}", {"x": ["a" * 60 + "b"]})
    assert bind("{{ x[?match(@, 'a.')] | list }}", {"x": ["ab", "abc", 3]}) == ["ab"]
