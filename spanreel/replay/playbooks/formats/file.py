"""A playbook's file: its text as a `Body`, and every error of it with file and line.

Quiet: a text in; reading the disk is `target`'s. Nothing in a file runs while it is read, and a file with an error is no
playbook. A file of replayt is one as well (see `replayt`).
"""

from __future__ import annotations

import types
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import FORMAT, Body
from spanreel.replay.playbooks.formats import replayt
from spanreel.replay.playbooks.formats.checking import Problem, check
from spanreel.replay.playbooks.formats.lines import Document, read, refuse
from spanreel.replay.playbooks.formats.wellformed import Path, meant

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class PlaybookFile:
    """What a file says.

    Attributes:
        document: its text, with lines.
        body: the playbook; None where keys or values are wrong.
        problems: all of them, by line.
        steps: of a replayt file: which step of it a state is.
    """

    document: Document
    body: Body | None
    problems: tuple[Problem, ...]
    steps: dict[str, str] = field(default_factory=dict[str, str])

    def line(self, path: Path) -> int:
        """The line of a place of the body."""
        if self.steps and len(path) > 1 and path[0] == "states":
            path = ("steps", self.steps.get(str(path[1]), str(path[1])), *path[2:])
        return self.document.line(path)

    def said(self, problem: Problem) -> str:
        """A problem on one line: ``FILE:LINE: …``."""
        return f"{self.document.file}:{self.line(problem.path)}: {' '.join(problem.message.split())}"

    def checked(self) -> Body:
        """The playbook.

        Raises:
            BadInput: it has an error; the first one is told.
        """
        errors = [problem for problem in self.problems if problem.level == "error"]
        if errors:
            more = (
                f" (and {len(errors) - 1} more: spanreel validate {self.document.file})"
                if len(errors) > 1
                else ""
            )
            raise BadInput(self.said(errors[0]), f"{' '.join(errors[0].remedy.split())}{more}")
        assert self.body is not None
        return self.body


def body_of(text: str, file: str = "playbook.yaml") -> Body:
    """The playbook that a text is.

    Args:
        text: YAML; JSON where the file is called ``….json``.
        file: its name, for errors.

    Raises:
        BadInput: it is none, or has an error; on one line, with file and line.
    """
    return examined(text, file).checked()


def examined(text: str, file: str = "playbook.yaml") -> PlaybookFile:
    """A text, with everything that is wrong with it as a playbook.

    Raises:
        BadInput: it is neither YAML nor JSON, or no object.
    """
    document = read(text, file)
    if not isinstance(document.value, dict):
        raise refuse(file, 1, "a playbook is an object", f"it begins with `spanreel: {FORMAT}`")
    if replayt.is_one(document.value):
        return _of_replayt(read(text, file, legacy=True))
    body, problems = _validated(document)
    if body is not None:
        problems = [*_empty(document), *check(body)]
    return _file(document, body, problems)


def _of_replayt(document: Document) -> PlaybookFile:
    made = replayt.converted(document)
    return _file(document, made.body, check(made.body), made.steps)


def _file(
    document: Document, body: Body | None, problems: list[Problem], steps: dict[str, str] | None = None
) -> PlaybookFile:
    found = PlaybookFile(document, body, tuple(problems), steps or {})
    ordered = sorted(problems, key=lambda problem: found.line(problem.path))
    return PlaybookFile(document, body, tuple(ordered), steps or {})


def _validated(document: Document) -> tuple[Body | None, list[Problem]]:
    inner = list(_inner_names(document))
    try:
        body = Body.model_validate(document.value, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [*inner, *_in_words(found, document.value)]
    return (None, inner) if inner else (body, [])


def _empty(document: Document) -> Iterator[Problem]:
    """Guards that are there without a value: whoever wrote them believes in what is none."""
    guards: list[Path] = [("budget",)]
    for name in document.value["states"]:
        guards += [("states", name), ("states", name, "expect")]
    for path in guards:
        value: Any = document.value
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        for key in [key for key, one in value.items() if one is None] if isinstance(value, dict) else ():
            yield Problem((*path, key), f"`{key}` has no value", "give it one, or take it out")


def _inner_names(document: Document) -> Iterator[Problem]:
    """Keys that are only names of ours: `schema_` is no key of a file."""
    for path in document.lines:
        key = path[-1] if path else ""
        if isinstance(key, str) and key.endswith("_") and (keys := _keys(path[:-1])) and key not in keys:
            yield Problem(path, f"unknown key `{key}`", meant(key, keys))


# pydantic's errors in our words


def _in_words(errors: list[ErrorDetails], document: Any) -> list[Problem]:
    places = [(error, place) for error in errors if (place := _place(error["loc"], document)) is not None]
    missing = {place: error for error, place in places if error["type"] == "missing"}
    found: dict[tuple[Path, str], Problem] = {}
    for error, place in places:
        if place in missing:
            continue
        wanted = [str(one[-1]) for one in missing if one[:-1] == place[:-1]]
        problem = _problem(error, place, wanted)
        found.setdefault((problem.path, problem.message), problem)
        for one in wanted:  # it is there, under another name
            if problem.remedy == f"did you mean `{one}`?":
                missing.pop((*place[:-1], one))
    for place, error in missing.items():
        found[place, ""] = _problem(error, place, ())
    return list(found.values()) or [Problem((), "that is no playbook")]


def _place(loc: tuple[str | int, ...], document: Any) -> Path | None:
    """Where in the document an error is; None: it is about an alternative that was not meant."""
    path: list[str | int] = []
    value = document
    for part in loc:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(part, str) and part.startswith(("dict[", "list[")):
            if not isinstance(value, dict if part.startswith("dict[") else list):
                return None
            continue
        else:
            path.append(part)
            break
        path.append(part)
    return tuple(path)


def _problem(error: ErrorDetails, path: Path, wanted: Collection[str]) -> Problem:
    kind = error["type"]
    key = path[-1] if path else "it"
    shown = f"`{key}`" if isinstance(key, str) else f"entry {key + 1}"
    if kind == "extra_forbidden":
        known = _keys(path[:-1])
        remedy = meant(key, wanted) or meant(key, known, f"there are {', '.join(known)}")
        return Problem(path, f"unknown key {shown}", remedy)
    if kind == "missing":
        return Problem(path[:-1], f"{shown} is missing", f"add {key}: …")
    if kind == "value_error":
        said = str(error.get("ctx", {}).get("error", error["msg"]))
        return Problem(_without_mark(path), said, "")
    said = error["msg"]
    if kind in _KINDS:
        said = f"has to be {_KINDS[kind]}"
    for begin in ("Input should be a valid ", "Input should be "):
        said = said.replace(begin, "has to be ")
    wrong = error.get("input")
    expected = str(error.get("ctx", {}).get("expected", ""))
    words = [one.strip("' ") for one in expected.replace(" or ", ", ").split(",")]
    remedy = meant(wrong, words) if isinstance(wrong, str) and expected else ""
    if isinstance(wrong, str) and not expected:
        remedy = f"it is the text {wrong[:40]!r}"
    return Problem(_without_mark(path), f"{shown} {said}", remedy)


_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "a list",
}


def _without_mark(path: Path) -> Path:
    """Without pydantic's `[key]`, which says that the key itself is wrong."""
    return path[:-1] if path and path[-1] == "[key]" else path


def _keys(path: Path) -> list[str]:
    """The keys of the object that belongs to a place; none where any key may stand."""
    kind: Any = Body
    for part in path:
        kind = _inside(kind, part)
    return _aliases(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _aliases(model: type[BaseModel]) -> list[str]:
    return [declared.alias or name for name, declared in model.model_fields.items()]


def _inside(kind: Any, part: str | int) -> Any:
    """What belongs in an entry of an object or a list of that kind."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        annotation = next(
            (one.annotation for name, one in kind.model_fields.items() if (one.alias or name) == part), None
        )
    else:
        annotation = next(iter(get_args(kind)[::-1]), None)
    return _chosen(annotation)


def _chosen(annotation: Any) -> Any:
    """Of alternatives the one that has keys."""
    if get_origin(annotation) is Annotated:
        return _chosen(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        options = [_chosen(one) for one in get_args(annotation)]
        with_keys = (one for one in options if _has_keys(one))
        return next(with_keys, None)
    return annotation


def _has_keys(kind: Any) -> bool:
    inner = get_args(kind)[-1] if get_args(kind) else kind
    return isinstance(inner, type) and issubclass(inner, BaseModel)
