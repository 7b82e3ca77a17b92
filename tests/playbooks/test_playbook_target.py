"""TARGETs: what a word on the command line stands for, and what is said where it stands for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanreel.exceptions import BadInput, UnknownPlaybook
from spanreel.replay.playbooks.formats.target import find, modules, resolve
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.playbook import Playbook

TEXT = "spanreel: playbook/v1\nname: greet\ninitial: a\nstates:\n  a: {tool: greet_somebody}\n"
CODE = """\
from spanreel.replay.playbooks.playbook import Playbook

text = {"name": "greet", "initial": "a", "states": {"a": {"tool": "greet_somebody"}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder of its own, and no module of it left behind."""
    monkeypatch.chdir(tmp_path)
    known, path = set(sys.modules), list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("target_"):
            del sys.modules[name]
    sys.path[:] = path


@pytest.mark.parametrize("name", ["greet.yaml", "greet.yml", "greet.YAML"])
def test_a_file_of_yaml(name: str, folder: Path) -> None:
    """Read as data, checked, with lines."""
    (folder / name).write_text(TEXT)
    found = find(name)
    assert (found.kind, found.checked().name) == ("playbook", "greet")
    assert resolve(str(folder / name)) == found.body
    assert Playbook.load(folder / name).body == found.body


def test_a_file_of_json(folder: Path) -> None:
    """So is JSON."""
    (folder / "greet.json").write_text('{"name": "greet", "initial": "a", "states": {"a": {"tool": "t"}}}')
    assert resolve("greet.json").name == "greet"


def test_a_file_with_an_error_is_no_playbook(folder: Path) -> None:
    """`find` has all of them, `resolve` refuses with the first."""
    (folder / "greet.yaml").write_text(TEXT.replace("initial: a", "initial: b"))
    assert [one.path for one in find("greet.yaml").problems] == [("initial",)]
    with pytest.raises(BadInput, match=r"^greet\.yaml:3: there is no state `b`; there are a$"):
        resolve("greet.yaml")


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    """A folder, no file, bytes that are no text, too many bytes: one line each."""
    (folder / "folder.yaml").mkdir()
    (folder / "bytes.yaml").write_bytes(b"a: 1\nb: \xff")
    (folder / "large.yaml").write_bytes(b"#" * 5_000_000)
    (folder / "marked.yaml").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    for name, said in {
        "folder.yaml": "folder.yaml is no file",
        "nothing.yaml": "nothing.yaml cannot be read (No such file or directory)",
        "bytes.yaml": "bytes.yaml:2: it is not UTF-8",
        "large.yaml": "large.yaml:1: 5,000,000 bytes",
    }.items():
        with pytest.raises(BadInput) as caught:
            resolve(name)
        assert str(caught.value).startswith(said)
    assert resolve("marked.yaml").name == "greet"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("one = Playbook.load(text)\nsame = one\n", "greet"),
        ("other = Playbook.load({**text, 'name': 'other'})\nplaybook = Playbook.load(text)\n", "greet"),
        ("other = Playbook.load({**text, 'name': 'other'})\nwf = Playbook.load(text).body\n", "greet"),
    ],
)
def test_a_python_file(code: str, name: str, folder: Path) -> None:
    """Its only playbook, or the one that is called so."""
    (folder / "target_one.py").write_text(CODE + code)
    assert resolve("target_one.py").name == name
    assert resolve(str(folder / "target_one.py")).name == name


def test_a_python_file_with_several(folder: Path) -> None:
    """They are listed, and one can be named."""
    (folder / "target_two.py").write_text(
        f"{CODE}one = Playbook.load(text)\ntwo = Playbook.load({{**text, 'name': 'two'}})\ndef f(): ...\nx = 3\n"
    )
    with pytest.raises(
        BadInput, match=r"^target_two\.py has 2 playbooks: one, two; name one: target_two\.py:one$"
    ):
        resolve("target_two.py")
    assert resolve("target_two.py:two").name == "two"
    assert find("target_two.py:f").kind == "function"
    assert resolve("target_two:one").name == "greet"
    for target, said in {
        "target_two:onne": "target_two:onne: there is no onne in target_two; did you mean `one`?",
        "target_two:f": "target_two:f is a function, and no playbook",
        "target_two:x": "target_two:x is neither a playbook nor a function, but int",
        "target_none:x": "target_none:x: there is no module target_none",
        "target_none.py": "target_none.py is no file",
        "run:last": "run:last is a run, and no playbook",
        "a name": "a name names nothing",
        "": " names nothing",
        ":x": ":x names nothing",
        ".target_two:one": ".target_two:one names nothing",
    }.items():
        with pytest.raises(BadInput) as caught:
            resolve(target)
        assert str(caught.value).startswith(said), target


def test_a_module_that_fails(folder: Path) -> None:
    """What its import raised is told, on one line; nothing of it stays."""
    (folder / "target_bad.py").write_text("import target_missing_too\n")
    (folder / "target_worse.py").write_text("x = (\n")
    for target in ("target_bad:x", "target_bad.py"):
        with pytest.raises(
            BadInput,
            match=r"cannot be imported \(ModuleNotFoundError: No module named 'target_missing_too'\)",
        ):
            resolve(target)
    with pytest.raises(BadInput, match=r"target_worse cannot be imported \(SyntaxError"):
        resolve("target_worse:x")
    assert "target_bad" not in sys.modules


def test_a_python_playbook_is_checked(folder: Path) -> None:
    """Its problems have the place in the body, as it has no lines."""
    (folder / "target_three.py").write_text(
        f"{CODE}from spanreel.replay.playbooks.body import Body\none = Body(**{{**text, 'initial': 'b'}})\n"
    )
    with pytest.raises(BadInput, match=r"^target_three\.py: initial: there is no state `b`; there are a$"):
        resolve("target_three.py")


def test_one_of_the_store(folder: Path) -> None:
    """By its name, with or without `playbook:`, and by what comes after the @; another name is unknown."""
    (folder / "greet.yaml").write_text(TEXT)
    store = folder / "kept.db"
    body = resolve("greet.yaml")
    Library(store).add(body)
    for target in ("playbook:greet", "greet", "greet@1", f"playbook:greet@{body.hash[7:15]}"):
        assert resolve(target, store) == body
    for target in ("playbook:other", "other", "greet@7"):
        with pytest.raises(UnknownPlaybook):
            resolve(target, store)


def test_a_run_is_only_named() -> None:
    """Whoever wants it looks it up."""
    found = find("run:last~1")
    assert (found.kind, found.run, found.body) == ("run", "last~1", None)


def test_modules_of_tools(folder: Path) -> None:
    """By name or by file; what cannot be imported is told."""
    (folder / "target_tools.py").write_text("import spanreel\n@spanreel.tool\ndef target_greet(): ...\n")
    from spanreel.replay.playbooks.engine.toolbox import Toolbox

    modules(["target_tools.py"])
    modules(["target_tools"])
    assert "target_greet" in Toolbox().names()
    for name in ("target_nothing", "target_nothing.py"):
        with pytest.raises(BadInput, match="target_nothing"):
            modules([name])
