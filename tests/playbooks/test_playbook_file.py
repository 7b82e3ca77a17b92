"""Playbook files: read as data, every error on one line with file and line, written back as they are."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanreel.cli.schemas import json_schema
from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.formats.file import body_of, examined
from spanreel.replay.playbooks.formats.lines import read
from spanreel.replay.playbooks.formats.write import to_yaml

EXAMPLE = (Path(__file__).parent / "exchange-item.yaml").read_text("utf-8")
BEGIN = "spanreel: playbook/v1\nname: p\ninitial: a\nstates:\n"


def said(text: str, file: str = "p.yaml") -> str:
    """The error of a text, which is one line with its place."""
    with pytest.raises(BadInput) as caught:
        body_of(text, file)
    message = str(caught.value)
    assert message.startswith(f"{file}:"), message
    assert "\n" not in message
    return message


def changed(old: str, new: str) -> str:
    """The error of the example with one part of it written differently."""
    assert old in EXAMPLE
    return said(EXAMPLE.replace(old, new, 1))


def test_the_example_is_a_playbook() -> None:
    """The keys of the design are those of a body, and nothing is wrong with it."""
    found = examined(EXAMPLE, "exchange-item.yaml")
    body = found.checked()
    assert found.problems == ()
    assert list(body.states) == ["order", "product", "confirm", "exchange"]
    assert body.states["exchange"].safety == "write"
    assert body.states["order"].derived_from == ["4f2a91c3d0b1e6a7f8c9d0e1f2a3b4c5:00f067aa0ba902b7"]


def test_json_is_the_same_playbook() -> None:
    """A file of JSON has the same identity, and its errors have lines too."""
    document = body_of(EXAMPLE).document()
    text = json.dumps(document, indent=2)
    assert body_of(text, "p.json").hash == body_of(EXAMPLE).hash
    line = text[: text.index('"retry"' if '"retry"' in text else '"safety"')].count("\n") + 1
    wrong = text.replace('"safety": "write"', '"safety": "wrte"')
    assert said(wrong, "p.json").startswith(f"p.json:{line}: `safety` has to be")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("states:", "stepz:", "p.yaml:16: unknown key `stepz`; did you mean `states`?"),
        ("save_as: order", "safe_as: order", "p.yaml:20: unknown key `safe_as`; did you mean `save_as`?"),
        ("args: {order_id:", "argz: {order_id:", "p.yaml:19: unknown key `argz`; did you mean `args`?"),
        ("expect: {json:", "expect: {json_:", "p.yaml:21: unknown key `json_`; did you mean `json`?"),
        ("retry: {max_attempts", "retry: {attempts", "p.yaml:45: unknown key `attempts`; did you mean `max_attempts`?"),
        ("safety: write", "safety: wrte", "p.yaml:44: `safety` has to be 'read', 'write' or 'irreversible'; did you mean `write`?"),
        ("max_attempts: 1", "max_attempts: 0", "p.yaml:45: `max_attempts` has to be greater than or equal to 1"),
        ("max_attempts: 1", 'max_attempts: "1"', "p.yaml:45: `max_attempts` has to be a whole number; it is the text '1'"),
        ("max_attempts: 1", "max_attempts: yes", "p.yaml:45: `max_attempts` has to be a whole number; it is the text 'yes'"),
        ("initial: order\n", "", "p.yaml:2: `initial` is missing; add initial: …"),
        ("playbook/v1", "playbook/v2", "p.yaml:2: `spanreel` has to be 'playbook/v1'; did you mean `playbook/v1`?"),
        ("name: exchange-item", "name: exchange item", "p.yaml:3: 'exchange item' is no name: use letters, digits, - and _"),
        ("  product:", "  pro duct:", "p.yaml:24: 'pro duct' is no name: use letters, digits, - and _"),
        ("on_approve: exchange", "on_approve: {a: b}", "p.yaml:31: `on_approve` has to be text"),
        ("    retry: {max_attempts: 1}", "    llm: {prompt: hi}", "p.yaml:33: a state is one thing, and this one is tool and llm"),
        ("save_as: order", "tool: second", "p.yaml:20: the key `tool` a second time; first in line 18; take one out"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value(old: str, new: str, message: str) -> None:
    """One line: where it is, what is wrong, and what was probably meant."""
    assert changed(old, new) == message


def test_the_number_of_further_errors_is_told() -> None:
    """The first one in the file is told, and how to see the others."""
    text = EXAMPLE.replace("safe", "zafe").replace("save_as: order", "safe_as: order")
    assert said(text) == (
        "p.yaml:20: unknown key `safe_as`; did you mean `save_as`? (and 1 more: spanreel validate p.yaml)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system [true]", "p.yaml:1: the tag !!python/object/apply:os.system: a playbook is data"),
        ("a: 1\nb: !ruby/object:X {}", "p.yaml:2: the tag !ruby/object:X"),
        ("a: !!binary aGk=", "p.yaml:1: the tag !!binary"),
        ("a: 1\n---\nb: 2", "p.yaml:2: a second document"),
        ("a: [1, 2", "p.yaml:1: that is no YAML"),
        ("a:\n\tb: 1", "p.yaml:2: that is no YAML"),
        ("a: 1\n? [x]\n: 2", "p.yaml:2: a key that is no text"),
        ("a: 1\nb: *nothing", "p.yaml:2: *nothing names nothing"),
        ("a: &x [*x]", "p.yaml:1: aliases that make it too large"),
        ("a: 1\nb: .nan", "p.yaml:2: .nan is no number here"),
        ("a: 1\nb: 1e999", "p.yaml:2: a number that is none"),
        ("a: " + "9" * 500, "p.yaml:1: a number of too many digits"),
        ('a: 1\nb: "\\ud800"', "p.yaml:2: a character that is no Unicode"),
        ("a: 1\nb: \x07", "p.yaml:2: a control character"),
        ("a: 1\nb: \ud800", "p.yaml:2: a character that is no Unicode"),
        ("", "p.yaml:1: it is empty"),
        ("# nothing\n", "p.yaml:1: it is empty"),
        ("- a", "p.yaml:1: a playbook is an object"),
        ("just text", "p.yaml:1: a playbook is an object"),
        ("a: {<<: 3}", "p.yaml:1: << merges objects only"),
    ],
)  # fmt: skip
def test_what_is_no_data(text: str, message: str) -> None:
    """Tags, several documents, endless aliases, numbers that are none: refused with the line."""
    assert said(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "that is no JSON: 'NaN}' where a value belongs"),
        ('{"a": 1,}', "that is no JSON: a key is a text in double quotes"),
        ('{"a": 1 "b": 2}', "that is no JSON: a comma or } is missing"),
        ('{"a" 1}', "that is no JSON: a colon is missing"),
        ('{"a": 1, "a": 2}', "the key `a` a second time; first in line 1"),
        ('{"a": "x', "that is no JSON: a text: Unterminated string"),
        ('{"a": 1e999}', "a number that is none"),
        ('{"a": "\\ud800"}', "a character that is no Unicode"),
        ("{} {}", "that is no JSON: something after the end"),
        ("{a: 1}", "that is no JSON: a key is a text in double quotes"),
        ("[" * 5_000, "nested deeper than 64"),
        ("", "that is no JSON: it ends early"),
        ("[]", "a playbook is an object"),
    ],
)  # fmt: skip
def test_what_is_no_json(text: str, message: str) -> None:
    """A file called so is JSON and nothing else."""
    assert said(text, "p.json").startswith(f"p.json:1: {message}")
    if text:  # `[]` is wrong wherever it begins
        moved = said(f"\n\n{text}", "p.json")
        assert moved.startswith(("p.json:3:", "p.json:1: a playbook"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
        "a0: &a0 {x: y}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 60)),
        "a0: &a0 {x: y}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)),
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "? " * 50_000,
        "a: x\n" * 60_000,
        "x" * 600_000,
        "[" + "x, " * 90_000 + "]",
    ],
    ids=["bomb", "bomb of objects", "bomb of merges", "[", "{", "-", "?", "keys", "long", "many"],
)
def test_a_bomb_is_refused_at_once(text: str) -> None:
    """A text costs no more than its size: aliases that multiply and nesting without end are stopped early."""
    assert said(text).count(":") >= 2


def test_nothing_runs(tmp_path: Path) -> None:
    """A tag or a template that would run something leaves no trace of having run."""
    trace = tmp_path / "ran"
    for text in (
        f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{trace}']]",
        f"{BEGIN}  a: {{set: {{x: \"{{{{ __import__('pathlib').Path('{trace}').touch() }}}}\"}}}}\n",
    ):
        said(text)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("no", "no"), ("Off", "Off"), ("0123", "0123"), ("0x1F", "0x1F"), ("1_000", "1_000"),
        ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("+1", "+1"), (".5", ".5"), ("1.", "1."), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("-12", -12), ("1.50", 1.5), ("1e3", 1000.0), ("'1'", "1"), ("! 12", "12"), ("=", "="),
    ],
)  # fmt: skip
def test_a_word_is_what_it_looks_like(written: str, value: object) -> None:
    """Only true, false, null and the numbers of JSON are no text; the surprises of YAML 1.1 are."""
    found = read(f"a: {written}", "p.yaml").value["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_key_is_the_text_that_stands_there() -> None:
    """`on` is "on", `1` is "1", `true` is "true"."""
    assert read("{on: a, 1: b, true: c, null: d, 2026-01-01: e}", "p.yaml").value == {
        "on": "a", "1": "b", "true": "c", "null": "d", "2026-01-01": "e"
    }  # fmt: skip
    text = f"{BEGIN}  a: {{set: {{x: yes}}, next: b}}\n  b: {{branch: {{on: '{{{{ x }}}}', cases: {{yes: end, no: end}}}}}}\n"
    body = body_of(text)
    assert body.states["b"].branch is not None
    assert body.states["b"].branch.cases == {"yes": "end", "no": "end"}


def test_aliases_and_merges_that_cost_little_are_read() -> None:
    """What is said once may be named again; a key of its own comes before a merged one."""
    found = read("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, x: 3}\nd: {<<: [*a, {z: 4}]}", "p.yaml")
    assert found.value["b"] == {"x": 1, "y": 2}
    assert found.value["c"] == {"x": 3, "y": 2}
    assert found.value["d"] == {"x": 1, "y": 2, "z": 4}
    assert [found.line(("b", "x")), found.line(("c", "x")), found.line(("c", "nothing", 3))] == [1, 3, 3]


def test_two_escapes_are_one_character() -> None:
    """JSON writes a character beyond the first plane as two halves."""
    assert read('{"a": "\\ud83d\\ude00"}', "p.json").value == {"a": "😀"}
    assert read('a: "\\ud83d\\ude00"', "p.yaml").value == {"a": "😀"}


# written back

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["on", "yes", "1e5", "0123", "null", "~", "<<", "=", "- a", "# x", "a: b", "{{ params.x }}", " x ", "x\n", "\nx", "a\n b\n\n", "\t", "1_0", "\x85", "a\u2028b\nc"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8).map(
    lambda text: f"s{text}"
)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """Bodies whose values are anything that JSON can say."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    states: dict[str, Any] = {}
    for name in names:
        args = draw(st.dictionaries(TEXT, VALUES, max_size=3))
        states[name] = {"tool": draw(TEXT), "args": args, "next": draw(st.sampled_from([*names, "end"]))}
        if draw(st.booleans()):
            states[name]["expect"] = {"json": draw(VALUES), "contains": draw(st.lists(TEXT, max_size=2))}
        if draw(st.booleans()):
            states[name] |= {
                "repeat": {"for_each": draw(TEXT), "as": "one", "max": 3},
                "derived_from": draw(st.lists(TEXT, max_size=2)),
            }
    return Body.model_validate(
        {
            "name": draw(NAMES), "goal": draw(TEXT), "initial": names[0], "states": states, "output": draw(VALUES),
            "params": {name: {"default": draw(VALUES), "type": "any"} for name in draw(st.lists(NAMES, max_size=2))},
            "meta": draw(st.dictionaries(TEXT, VALUES, max_size=2)), "edges": [{"from": names[0], "to": "end"}],
            "notes": draw(st.lists(TEXT, max_size=2)),
        }
    )  # fmt: skip


@given(bodies())
def test_what_is_written_is_read_as_the_same_body(body: Body) -> None:
    """Keys, values, types: all of it, as YAML and as JSON; and so the identity."""
    for text, file in ((to_yaml(body), "p.yaml"), (json.dumps(body.document()), "p.json")):
        found = examined(text, file).body
        assert found is not None
        assert found.document() == body.document()
        assert found.hash == body.hash


def test_it_is_written_for_people() -> None:
    """Blocks, keys in the order of the design, where a part came from at its end; the same text every time."""
    text = to_yaml(body_of(EXAMPLE))
    lines = text.splitlines()
    assert lines[:3] == [
        "spanreel: playbook/v1",
        "name: exchange-item",
        "goal: exchange a delivered item for another of the same product",
    ]
    order = lines[lines.index("  order:") : lines.index("  product:")]
    keys = [line.split(":")[0].strip() for line in order if line.startswith("    ") and line[4] != " "]
    assert keys == ["tool", "args", "save_as", "expect", "next", "derived_from"]
    assert "    product_id: '{{ order.items[?@.name == $.params.item].product_id }}'" in "\n".join(lines)
    assert to_yaml(body_of(text)) == text


# the published schema


def test_the_published_schema_accepts_what_is_read() -> None:
    """`spanreel schema playbook` has the keys of the file: `schema`, `json`, `as`, `assert`, and refuses what reading refuses."""
    schema = json_schema("playbook")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(read(EXAMPLE, "p.yaml").value)) == []
    full = {
        "name": "p", "initial": "a", "edges": [{"from": "a", "to": "b"}], "states": {
            "a": {"llm": {"prompt": "x", "schema": {"type": "object"}}, "next": "b"},
            "b": {"assert": [{"json": "x", "equals": 1}]},
            "c": {"tool": "t", "expect": {"json": {"a": 1}}, "repeat": {"for_each": "{{ params.x }}", "as": "one", "max": 3}},
        },
    }  # fmt: skip
    assert list(validator.iter_errors(full)) == []
    assert Body.model_validate(full).document() == {**full, "spanreel": "playbook/v1"}
    for wrong in (
        {**full, "stepz": {}},
        {**full, "initial": 3},
        {**full, "states": {"a": {"assert_": []}}},
        {"name": "p"},
    ):
        assert list(validator.iter_errors(wrong))


# anything at all


def survives(text: str, file: str) -> None:
    """It is a playbook with or without problems, or refused on one line."""
    try:
        found = examined(text, file)
    except BadInput as error:
        refusal = str(error)
    else:
        refusal = " ".join(found.said(problem) for problem in found.problems)
    assert "\n" not in refusal


@given(st.text(max_size=200), st.sampled_from(["p.yaml", "p.json"]))
@example("%YAML 9.9\n---\n", "p.yaml")
@example("a: &\n", "p.yaml")
@example('"\\x', "p.yaml")
def test_any_text(text: str, file: str) -> None:
    """No text ends in another error."""
    survives(text, file)


@given(st.text(alphabet="{}[]:,-?&*!|>'\"#%@` \n\tabon01.~<=", max_size=80))
def test_any_yaml(text: str) -> None:
    """Nor does one of the characters that mean something."""
    survives(text, "p.yaml")


KEYS = st.sampled_from(
    ["spanreel", "name", "initial", "states", "params", "steps", "tool", "args", "llm", "prompt", "schema", "branch", "on", "cases", "default",
     "approval", "id", "assert", "pre", "post", "json", "equals", "matches", "any", "expect", "repeat", "until", "for_each", "max", "next",
     "set", "save_as", "require", "key", "edges", "from", "to", "retry", "max_attempts", "output_key", "a", "b", "success", "matchers", "input"]
)  # fmt: skip
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from(["a", "b", "end", "{{ params.a }}", "{{ a.b[*] | list }}", "{x}", "(", "playbook/v1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)


@given(st.dictionaries(KEYS, TREES, max_size=8))
def test_any_tree(tree: dict[str, Any]) -> None:
    """Nor does one of the right words in the wrong places."""
    survives(json.dumps(tree), "p.json")
    survives(json.dumps(tree), "p.yaml")


STATES = st.fixed_dictionaries(
    {},
    optional={
        "tool": st.sampled_from(["t", ""]), "args": st.dictionaries(st.sampled_from("xy"), TREES, max_size=2),
        "set": st.dictionaries(st.sampled_from(["a", "b", "result"]), TREES, max_size=2), "save_as": st.sampled_from(["a", "b", "params"]),
        "pre": st.lists(TREES, max_size=2), "post": st.lists(TREES, max_size=2), "assert": st.lists(st.dictionaries(KEYS, TREES), max_size=2),
        "next": st.sampled_from(["a", "b", "end", "c"]), "on_failure": st.sampled_from(["a", "b"]), "max_visits": st.just(2),
        "branch": st.fixed_dictionaries({"on": TREES, "cases": st.dictionaries(st.sampled_from("xy"), st.sampled_from(["a", "b", "end"]))}),
        "approval": st.just({"id": "x", "summary": "{{ a }}"}), "on_approve": st.sampled_from(["a", "end"]),
        "repeat": st.fixed_dictionaries({"max": st.just(3), "until": st.lists(TREES, max_size=2)}), "expect": st.fixed_dictionaries({"json": TREES}),
        "llm": st.just({"prompt": "{{ b }}", "schema": {"type": "objet"}}),
    },
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["a", "b"]), STATES, min_size=1), st.lists(TREES, max_size=2), TREES)
def test_any_states(states: dict[str, Any], success: list[Any], output: Any) -> None:
    """Nor do states that fit, however little sense they make together."""
    document = {
        "name": "p",
        "initial": "a",
        "states": states,
        "success": success,
        "output": output,
        "params": {"a": {}},
    }
    survives(json.dumps(document), "p.json")
