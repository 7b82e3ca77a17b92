"""What --set, --step, --respond and --edit mean, down to the last colon."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.cli.overrides import Usage, answers, edits, in_order, parameters

VALUED = frozenset({"--set", "--step", "--respond", "--store"})


@pytest.mark.parametrize(
    ("line", "every", "steps"),
    [
        (
            "--set a=1 --step 4 --set b=2 --set c=x --step 5 --set b=3",
            {"a": 1},
            {4: {"b": 2, "c": "x"}, 5: {"b": 3}},
        ),
        ("--step=4 --set=a=1 run --json --set b=2", {}, {4: {"a": 1, "b": 2}}),
        ("--set 4:a=1 --set b=2", {"b": 2}, {4: {"a": 1}}),
        ("--step 4 --set 7:a=1 --set b=2", {}, {7: {"a": 1}, 4: {"b": 2}}),
        ("--step 4 --store --set --set a=1", {}, {4: {"a": 1}}),
        ("--set a:b=1 --set c=4:5=6", {"a:b": 1, "c": "4:5=6"}, {}),
        ("--set a=1 -- --step 4 --set b=2", {"a": 1}, {}),
    ],
)
def test_a_step_is_for_what_follows_it(line: str, every: dict[str, object], steps: dict[int, object]) -> None:
    """In whatever form it is written, until the next one; the user's own command is left alone."""
    words = in_order(line.split(), VALUED)
    own = words[: words.index("--")] if "--" in words else words
    sets = [word.removeprefix("--set=") for word in own if word.startswith("--set=")]
    assert parameters(sets)[:2] == (every, steps)


def test_without_a_run_the_command_is_still_the_command() -> None:
    """`replay -- python agent.py` is about the last run."""
    assert in_order(["--json", "--", "python", "x.py"], VALUED) == ["--json", "last", "--", "python", "x.py"]
    assert in_order(["4f2a", "--", "python"], VALUED) == ["4f2a", "--", "python"]


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("temperature=0.5", "temperature", 0.5),
        ("stop=null", "stop", None),
        ("model=gpt-5", "model", "gpt-5"),
        ("model=4", "model", "4"),
        ("system=true", "instructions", "true"),
        ("system=null", "instructions", None),
        ('instructions="quoted"', "instructions", "quoted"),
        ("metadata.user=x=y", "metadata.user", "x=y"),
        ('tools=[{"type": "function"}]', "tools", [{"type": "function"}]),
        ("user=@@me", "user", "@me"),
        ("seed=NaN", "seed", "NaN"),
        ("stop=", "stop", ""),
    ],
)
def test_values_are_json_or_text(said: str, name: str, value: object) -> None:
    """Text where text is expected, even if it could be read as a number."""
    assert parameters([said])[0] == {name: value}


def test_a_value_can_be_in_a_file(tmp_path: Path) -> None:
    """Without the line feed that editors put at its end."""
    file = tmp_path / "prompt.md"
    file.write_text("Be short.\nBe kind.\n")
    assert parameters([f"system=@{file}"])[0] == {"instructions": "Be short.\nBe kind."}
    file.write_bytes(b"\xff")
    with pytest.raises(Usage, match="no UTF-8 text"):
        parameters([f"system=@{file}"])
    with pytest.raises(Usage, match="No such file"):
        parameters(["system=@nowhere"])


def test_a_misspelt_parameter_is_hinted_at() -> None:
    """It is sent all the same: the provider may know it."""
    every, _, hints = parameters(["temprature=1", "logit_bias.50256=-100", "wholly_new=1"])
    assert set(every) == {"temprature", "logit_bias.50256", "wholly_new"}
    assert hints == ["note: temprature is sent as it is; did you mean temperature?"]


def test_answers_of_models_are_text_and_of_tools_values() -> None:
    """What a tool gives is JSON where it can be; a message is JSON in both."""
    found = answers(["1=42", "2=42", '3={"role": "assistant"}', "4=plain"], frozenset({2, 4}))
    assert found == {1: "42", 2: 42, 3: {"role": "assistant"}, 4: "plain"}


@pytest.mark.parametrize("said", ["", "x", "=1", "4:=1", "4:"])
def test_what_sets_nothing_is_refused(said: str) -> None:
    """By name, with how it is written."""
    with pytest.raises(Usage, match="there is no value") as raised:
        parameters([said])
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("said", ["4", "x=1", "0=a", "-1=a", "²=a"])
def test_an_answer_belongs_to_a_step(said: str) -> None:
    """Counted from 1."""
    with pytest.raises(Usage):
        answers([said], frozenset())


def test_an_edit_names_a_step_or_a_file_too() -> None:
    """A file of an earlier edit is read instead of opening the editor."""
    assert edits(["4", "5=@kept.json"]) == {4: None, 5: Path("kept.json")}
    with pytest.raises(Usage, match="names no file"):
        edits(["5=kept.json"])


@given(st.lists(st.text(max_size=12), max_size=4))
def test_whatever_is_typed_is_understood_or_refused(words: list[str]) -> None:
    """Never another error than the one that is shown in one line."""
    for read in (parameters, lambda given: in_order(["--step", *given], VALUED), edits):
        with contextlib.suppress(Usage):
            read(words)
