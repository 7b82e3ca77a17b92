"""Workflow files of replayt 0.4 as playbooks, unchanged.

Quiet. A step there does several things in a fixed order (require, set, llm, approval, branch, next); here a state does
one, so a step becomes one to four states. Its one bag of values, filled by the inputs, becomes parameters and variables.
What the file leaves to its runner (no more than 200 states a run) is written down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from pydantic import ValidationError

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.binding import literal
from spanreel.replay.playbooks.body import END, FORMAT, MAX_STEPS, RESERVED, Body
from spanreel.replay.playbooks.formats.flow import Known, endless, variables
from spanreel.replay.playbooks.formats.lines import Document, Path, refuse

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTSIDE = re.compile(r"[^A-Za-z0-9_-]")
_BRACES = re.compile(r"\{{2,}|\{$")
_TYPES: Final = {"string": "string", "integer": "integer", "float": "number", "boolean": "boolean"}
_SETTINGS: Final = (
    "model", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop", "max_tokens",
)  # fmt: skip
_KEYS: Final = ("name", "version", "initial", "meta", "edges", "steps")
_STEP_KEYS: Final = ("require", "set", "llm", "approval", "branch", "next", "retry")
_REQUIRE: Final = 0
_LLM: Final = 1
_BRANCH: Final = 2
"""When a step reads a value, in the order in which it does."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A playbook of a replayt file. steps: by state, the step that it comes from."""

    body: Body
    steps: dict[str, str]


def is_one(value: Mapping[str, Any]) -> bool:
    """Whether an object is a workflow of replayt: it has steps, and does not say that it is a playbook."""
    return "steps" in value and "states" not in value and "spanreel" not in value


def converted(document: Document) -> Converted:
    """The playbook that does what the workflow does.

    Raises:
        BadInput: it is no workflow; with file and line.
    """
    return _Conversion(document).done()


class _Conversion:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.value: Mapping[str, Any] = document.value
        self.names: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.steps: dict[str, str] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.read: dict[str, list[tuple[str, int]]] = {}
        self.notes: list[str] = []

    def no(self, path: Path, message: str, remedy: str = "") -> BadInput:
        return refuse(self.document.file, self.document.line(path), message, remedy)

    def done(self) -> Converted:
        steps = self.object(("steps",), self.value.get("steps") or {})
        if self.value.get("initial") in (None, ""):
            raise self.no((), "`initial` is missing", "add initial: the first step")
        for name in steps:
            self.names[name] = _fresh(_OUTSIDE.sub("_", name), {*self.names.values(), END})
        self.notes += [f"step {old} is state {new}" for old, new in self.names.items() if old != new]
        self.ignored((), self.value, _KEYS)
        for name, step in steps.items():
            self.step(name, self.object(("steps", name), step or {}))
        return self.with_inputs()

    # steps

    def step(self, name: str, step: Mapping[str, Any]) -> None:
        here: Path = ("steps", name)
        self.ignored(here, step, _STEP_KEYS)
        parts = list(self.parts(name, step, here))
        retry = self.object((*here, "retry"), step.get("retry") or {})
        state = self.names[name]
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            follows = None if last else _fresh(f"{self.names[name]}-{_kind(parts[place + 1])}", self.taken())
            if not last:
                part["next"] = follows
            elif "approval" not in part and "branch" not in part:
                part["next"] = self.target(step.get("next"), (*here, "next"))
            if place == 0 and step.get("require"):
                required = self.list((*here, "require"), step["require"])
                part["pre"] = [self.required(name, str(key)) for key in required]
            if retry and "llm" in part:
                part["retry"] = dict(retry)
            self.states[state] = part
            self.steps[state] = name
            state = follows or ""

    def parts(self, name: str, step: Mapping[str, Any], here: Path) -> Iterator[dict[str, Any]]:
        """What a step does, in the order in which it is done."""
        found = 0
        if step.get("set"):
            said = self.object((*here, "set"), step["set"])
            yield {"set": {self.variable(key): literal(value) for key, value in said.items()}}
            found += 1
        if step.get("llm") is not None:
            yield self.llm(name, self.object((*here, "llm"), step["llm"]), (*here, "llm"))
            found += 1
        if step.get("approval") is not None:
            yield self.approval(step, self.object((*here, "approval"), step["approval"]), (*here, "approval"))
        elif step.get("branch") is not None:
            yield self.branch(name, self.object((*here, "branch"), step["branch"]), (*here, "branch"))
        elif not found:
            yield {}

    def llm(self, name: str, said: Mapping[str, Any], here: Path) -> dict[str, Any]:
        for key in ("prompt", "output_key"):
            if not isinstance(said.get(key), str) or not said[key]:
                raise self.no(here, f"`{key}` is missing in `llm`", f"add {key}: …")
        self.ignored(here, said, ("prompt", "system", "output_key", "schema", "model", "temperature"))
        found: dict[str, Any] = {
            "prompt": self.prompt(name, said["prompt"], (*here, "prompt")),
            "parameters": {"temperature": self.number(said.get("temperature"), (*here, "temperature"))},
        }
        if said.get("system"):
            found["system"] = literal(str(said["system"]))
        if said.get("model"):
            found["model"] = str(said["model"])
        if said.get("schema"):
            found["schema"] = self.schema(self.object((*here, "schema"), said["schema"]), (*here, "schema"))
        return {"llm": found, "save_as": self.variable(said["output_key"])}

    def schema(self, fields: Mapping[str, Any], here: Path) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for field, said in fields.items():
            of = self.object((*here, field), said)
            one: dict[str, Any] = {"type": _TYPES.get(str(of.get("type", "string")), "string")}
            properties[field] = {"enum": self.list((*here, field), of["enum"])} if "enum" in of else one
        return {"type": "object", "properties": properties, "required": list(properties)}

    def approval(self, step: Mapping[str, Any], said: Mapping[str, Any], here: Path) -> dict[str, Any]:
        if said.get("id") in (None, ""):
            raise self.no(here, "`id` is missing in `approval`", "add id: …")
        gate = {"id": str(said["id"])}
        gate |= {key: literal(said[key]) for key in ("summary", "details") if said.get(key)}
        approve = said.get("on_approve", step.get("next"))
        return {
            "approval": gate,
            "on_approve": self.target(approve, (*here, "on_approve")) or END,
            "on_reject": self.target(said.get("on_reject"), (*here, "on_reject")) or END,
        }

    def branch(self, name: str, said: Mapping[str, Any], here: Path) -> dict[str, Any]:
        for key in ("key", "cases"):
            if key not in said:
                raise self.no(here, f"`{key}` is missing in `branch`", f"add {key}: …")
        cases = self.object((*here, "cases"), said["cases"])
        led = {case: self.target(to, (*here, "cases", case)) for case, to in cases.items()}
        for python, case in (("True", "true"), ("False", "false"), ("None", "null")):
            if python in led:  # how such a value is written there
                led.setdefault(case, led[python])
        default = self.target(said.get("default"), (*here, "default")) or END
        self.reads(str(said["key"]), name, _BRANCH)
        return {
            "branch": {
                "on": f"{{{{ {self.variable(str(said['key']))} }}}}",
                "cases": {case: to or default for case, to in led.items()},
                "default": default,
            }
        }

    def required(self, name: str, key: str) -> dict[str, Any]:
        self.reads(key, name, _REQUIRE)
        return {"var": self.variable(key), "not_equals": None}

    def prompt(self, name: str, text: str, here: Path) -> str:
        """A template of ours for one of `{name}`: nothing else may stand between its braces."""
        pieces: list[str | None] = []  # texts and, for a placeholder, None and its binding
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise self.no(
                here, f"a placeholder that cannot be read: {error}", "write {name}; {{ and }} for braces"
            ) from None
        for said, field, spec, conversion in parsed:
            pieces.append(said)
            if field is None:
                continue
            if not _IDENTIFIER.fullmatch(field.strip()) or spec or conversion:
                raise self.no(
                    here, f"the placeholder {{{field}}} is no name", "write {name}; {{ and }} for braces"
                )
            self.reads(field.strip(), name, _LLM)
            pieces += [None, f"{{{{ {self.variable(field.strip())} | text }}}}"]
        return _template(pieces)

    # what is read before it is set comes with the inputs

    def with_inputs(self) -> Converted:
        body = self.body(self.states, {}, self.initial())
        known = variables(body)
        inputs: dict[str, dict[str, Any]] = {}
        given: dict[str, str] = {}
        for key, reads in self.read.items():
            variable = self.variable(key)
            if any(self.may_lack(variable, step, when, known) for step, when in reads):
                first = (
                    next(iter(name for name in self.names if self.names[name] == self.initial())),
                    _REQUIRE,
                )
                param = _fresh(_OUTSIDE.sub("_", key), inputs)
                inputs[param] = {"type": "any", "required": first in reads}
                given[variable] = (
                    f"{{{{ params['{param}'] }}}}" if "-" in param else f"{{{{ params.{param} }}}}"
                )
        if not inputs:
            return Converted(self.bounded(body), self.steps)
        begin = _fresh("inputs", self.taken())
        states = {begin: {"set": given, "next": self.initial()}, **self.states}
        return Converted(self.bounded(self.body(states, inputs, begin)), self.steps)

    def may_lack(self, variable: str, step: str, when: int, known: Mapping[str, Known]) -> bool:
        """Whether a variable may not be set yet when a step reads it."""
        at = known.get(self.names[step])
        said = self.value["steps"][step]
        own = [self.variable(key) for key in said.get("set") or {}] if when > _REQUIRE else []
        if when > _LLM and said.get("llm"):
            own.append(self.variable(said["llm"]["output_key"]))
        return at is None or (variable not in at.must and variable not in own)

    def bounded(self, body: Body) -> Body:
        """What goes round is bounded as its runner does it."""
        states = dict(body.states)
        for cycle in endless(body):
            states[cycle[0]] = states[cycle[0]].model_copy(update={"max_visits": MAX_STEPS})
        found = body.model_copy(update={"states": states})
        return self.bounded(found) if endless(found) else found

    def body(self, states: Mapping[str, Any], params: Mapping[str, Any], initial: str) -> Body:
        name = str(self.value.get("name") or "workflow")
        meta = dict(self.value["meta"]) if isinstance(self.value.get("meta"), dict) else {}
        if "version" in self.value:
            meta.setdefault("version", str(self.value["version"]))
        defaults = self.defaults(meta.pop("llm_defaults", None))
        made = _fresh(_OUTSIDE.sub("_", name), ())
        if made != name:
            meta.setdefault("name", name)
        said = {
            "spanreel": FORMAT,
            "name": made,
            "params": params,
            "risk": "low",
            "llm_defaults": defaults,
            "initial": initial,
            "states": states,
            "meta": meta,
            "origin": "imported",
            "notes": self.notes,
        }
        try:
            return Body.model_validate(said | self.edges(states, initial))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path: Path = first["loc"]
            if path[:1] == ("states",) and len(path) > 1:
                path = ("steps", self.steps.get(str(path[1]), str(path[1])), *path[2:])
            shown = path[-1] if path else "it"
            raise self.no(path, f"`{shown}`: {first['msg']}") from None

    def defaults(self, said: Any) -> dict[str, Any]:
        """What its model calls have in common."""
        if said is None:
            return {}
        here: Path = ("meta", "llm_defaults")
        given = self.object(here, said)
        self.ignored(here, given, ("provider", *_SETTINGS))
        found = {key: value for key, value in given.items() if key in _SETTINGS}
        if given.get("provider") and "/" not in str(found.get("model", "/")):
            found["model"] = f"{given['provider']}/{found['model']}"
        return found

    def edges(self, states: Mapping[str, Any], initial: str) -> dict[str, Any]:
        """The declared ways, with those that the steps say themselves; nothing where none is declared."""
        declared = self.value.get("edges") or []
        if not declared:
            return {}
        found: dict[tuple[str, str], None] = {}
        for place, edge in enumerate(self.list(("edges",), declared)):
            if isinstance(edge, dict) and "from" in edge and "to" in edge:
                here: Path = ("edges", place)
                one, other = self.target(edge["from"], here), self.target(edge["to"], here)
                if one and other:
                    found[one, other] = None
        for name, state in states.items():
            branch = state.get("branch") or {}
            to = [state.get("next"), state.get("on_approve"), state.get("on_reject")]
            for one in [*to, *(branch.get("cases") or {}).values(), branch.get("default")]:
                if one:
                    found[name, one] = None
        return {"edges": [{"from": one, "to": other} for one, other in found]}

    # names

    def initial(self) -> str:
        return self.target(self.value["initial"], ("initial",)) or END

    def target(self, said: Any, here: Path) -> str | None:
        if said in (None, ""):
            return None
        if str(said) not in self.names:
            known = ", ".join(self.names) or "none"
            raise self.no(here, f"there is no step `{said}`", f"there are {known}")
        return self.names[str(said)]

    def variable(self, key: str) -> str:
        if key not in self.variables:
            taken = {*self.variables.values(), *RESERVED, "failure"}
            self.variables[key] = _fresh(_OUTSIDE.sub("_", key), taken)
            if self.variables[key] != key:
                self.notes.append(f"{key} is the variable {self.variables[key]}")
        return self.variables[key]

    def reads(self, key: str, step: str, when: int) -> None:
        self.read.setdefault(key, []).append((step, when))

    def taken(self) -> set[str]:
        return {*self.names.values(), *self.states, END}

    def ignored(self, here: Path, said: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in said:
            if key not in known:
                self.notes.append(f"line {self.document.line((*here, key))}: `{key}` means nothing")

    # kinds

    def object(self, here: Path, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.no(here, f"`{here[-1]}` has to be an object")
        return value

    def list(self, here: Path, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.no(here, f"`{here[-1]}` has to be a list")
        return value

    def number(self, value: Any, here: Path) -> float:
        try:
            return float(value if value is not None else 0.0)
        except (TypeError, ValueError):
            raise self.no(here, f"`{here[-1]}` has to be a number") from None


def _kind(part: Mapping[str, Any]) -> str:
    return next((key for key in ("llm", "approval", "branch", "set") if key in part), "next")


def _template(pieces: Sequence[str | None]) -> str:
    """A template of texts, and of bindings with a None before each; braces in a text are quoted."""
    found, text, binding = "", "", False
    for piece in [*pieces, None, ""]:
        if binding:
            found, binding = found + (piece or ""), False
        elif piece is None:
            found += _BRACES.sub(lambda braces: f'{{{{ "{braces[0]}" }}}}', text)
            text, binding = "", True
        else:
            text += piece
    return found


def _fresh(name: str, taken: Any) -> str:
    """A name of our kind that is not taken."""
    name = name if _IDENTIFIER.match(name) else f"_{name}"
    while name in taken:
        name += "_"
    return name
