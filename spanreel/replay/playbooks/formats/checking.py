"""What the parts of a playbook mean together: what leads nowhere, goes round without end, is bound to nothing.

Quiet: a body in, `Problem`s out, in the order of the body. An error means that no run of it can be right; a warning, that
some cannot, or that something is of no use. Whether tools are registered is asked apart: `unregistered`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from spanreel.replay.playbooks.body import END, RESERVED, Body, Param, State
from spanreel.replay.playbooks.conditions import PREDICATES, schema_problem
from spanreel.replay.playbooks.formats.flow import (
    EFFECTS,
    Known,
    chooses,
    endless,
    reachable,
    saves,
    variables,
    ways,
)
from spanreel.replay.playbooks.formats.wellformed import (
    FUNCTION,
    Path,
    Problem,
    Scope,
    conditions,
    meant,
    pattern,
    result_path,
    schema,
    template,
)

__all__ = ["Problem", "check", "unregistered"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SET_BY_THE_WALK: Final = RESERVED | {"failure"}
_ANYTHING: Final = Known(frozenset(), frozenset())
_FOR_EFFECTS: Final = ("post", "expect", "retry", "repeat", "compensate")
"""Keys that only an action with a result looks at."""


def check(body: Body) -> list[Problem]:
    """Everything that is wrong with a body as far as the body alone tells."""
    found = [*_params(body), *_graph(body)]
    known = variables(body)
    dynamic = not body.edges and any(chooses(state) for state in body.states.values())
    free = any(state.code is not None for state in body.states.values())
    for name, state in body.states.items():
        at = known.get(name)
        if at is None:  # nobody comes here, which is said once; what it names cannot be judged
            everything = frozenset(one for other in body.states.values() for one in saves(other))
            at = Known(everything | {"failure"}, everything | {"failure"})
        elif dynamic:  # a function may lead anywhere
            at = Known(at.may, at.may)
        found += _state(body, name, state, Scope(at.may, at.must, body.params, free))
    over = known.get(END, _ANYTHING)
    must = over.may if dynamic else over.must
    found += template(body.output, ("output",), Scope(over.may, must, body.params, free))
    with_result = Scope({*over.may, "result"}, {*must, "result"}, body.params, free)
    found += conditions(body.success, ("success",), with_result)
    found += _matchers(body)
    return found


def unregistered(body: Body, known: Collection[str]) -> list[Problem]:
    """The tools that a body calls and nobody registered.

    Args:
        body: the playbook.
        known: names of registered tools.
    """
    found: list[Problem] = []
    for name, state in body.states.items():
        calls: list[tuple[str | None, Path]] = [(state.tool, ("states", name, "tool"))]
        if state.compensate is not None:
            calls.append((state.compensate.tool, ("states", name, "compensate", "tool")))
        for tool, path in calls:
            if tool is not None and tool not in known:
                remedy = meant(
                    tool, known, "import the module that registers it with @spanreel.tool: --tools MODULE"
                )
                found.append(Problem(path, f"no tool `{tool}` is registered", remedy))
    for place, tool in enumerate(body.matchers.tools):
        if tool not in known:
            found.append(
                Problem(("matchers", "tools", place), f"no tool `{tool}` is registered", meant(tool, known))
            )
    return found


# the graph


def _graph(body: Body) -> Iterator[Problem]:
    if not body.states:
        yield Problem(("states",), "there is no state", "write at least one")
        return
    if body.initial not in body.states:
        remedy = meant(body.initial, body.states, f"there are {', '.join(body.states)}")
        yield Problem(("initial",), f"there is no state `{body.initial}`", remedy)
    yield from _targets(body)
    if body.initial in body.states:
        came = reachable(body)
        for name in body.states:
            if name not in came:
                yield Problem(
                    ("states", name),
                    f"nothing leads to state `{name}`",
                    "lead to it, or take it out",
                    "warning",
                )
    for cycle in endless(body):
        shown = " → ".join([*cycle, cycle[0]]) if len(cycle) <= 8 else f"{cycle[0]} → … → {cycle[0]}"
        remedy = f"give one of its states max_visits: {cycle[0]}: {{max_visits: 5, …}}"
        yield Problem(("states", cycle[0]), f"a cycle without bound: {shown}", remedy)


def _targets(body: Body) -> Iterator[Problem]:
    known = [*body.states, END]
    for name in body.states:
        if name == END:
            yield Problem(
                ("states", name), f"`{END}` is where a path is over, and no state", "give it another name"
            )
        for way in ways(body, name):
            if way.to not in known:
                remedy = meant(way.to, known, f"there are {', '.join(known)}")
                yield Problem(way.path, f"there is no state `{way.to}`", remedy)
    declared = {(edge.from_, edge.to) for edge in body.edges}
    for place, edge in enumerate(body.edges):
        for key, to in (("from", edge.from_), ("to", edge.to)):
            if to not in known:
                yield Problem(("edges", place, key), f"there is no state `{to}`", meant(to, known))
    for name in body.states if declared else ():
        for way in ways(body, name):
            over = way.to == END and way.path[-1] in ("next", name, "on_approve")
            if not over and way.path[0] == "states" and (name, way.to) not in declared:
                remedy = f"add {{from: {name}, to: {way.to}}} to `edges`"
                yield Problem(way.path, f"the way from `{name}` to `{way.to}` is not declared", remedy)


# parameters, matchers


def _params(body: Body) -> Iterator[Problem]:
    for name, param in body.params.items():
        here = ("params", name)
        if param.pattern is not None:
            yield from pattern(param.pattern, (*here, "pattern"))
        wrong = list(schema(param.items, (*here, "items"))) if param.items is not None else []
        yield from wrong
        if param.minimum is not None and param.maximum is not None and param.minimum > param.maximum:
            yield Problem(
                (*here, "minimum"),
                f"minimum {param.minimum:g} is above maximum {param.maximum:g}",
                "swap them",
            )
        if param.default is not None and not wrong:
            yield from _default(param, (*here, "default"))


def _default(param: Param, path: Path) -> Iterator[Problem]:
    schema_ = {key: value for key, value in param.json_schema().items() if key != "pattern"}
    if problem := schema_problem(param.default, schema_):
        yield Problem(path, f"the default does not fit: {problem}", "mend the default, or the declaration")


def _matchers(body: Body) -> Iterator[Problem]:
    for where, predicates in body.matchers.input.items():
        here = ("matchers", "input", where)
        yield from result_path(where, here)
        for word in predicates:
            if word not in (*PREDICATES, "exists"):
                remedy = meant(word, PREDICATES, f"there are {', '.join(PREDICATES)}, exists")
                yield Problem((*here, word), f"nobody knows the predicate `{word}`", remedy)


# a state


def _state(body: Body, name: str, state: State, scope: Scope) -> Iterator[Problem]:
    here = ("states", name)
    yield from _fitting(state, here)
    yield from _saved(state, here)
    yield from conditions(state.pre, (*here, "pre"), scope)
    yield from conditions(state.assert_ or (), (*here, "assert"), scope)
    yield from _led(state, here, scope)
    within = _with(scope, state.set or ())
    for variable, value in (state.set or {}).items():  # in their order: a later one may name an earlier one
        before = list(state.set or {})[: list(state.set or {}).index(variable)]
        yield from template(value, (*here, "set", variable), _with(scope, before))
    yield from _repeated(state, here, within)
    yield from _acting(body, state, here, within)


def _acting(body: Body, state: State, here: Path, scope: Scope) -> Iterator[Problem]:
    if state.repeat is not None and state.repeat.for_each is not None:
        scope = _with(scope, (state.repeat.as_,))
    elif state.repeat is not None and state.save_as is not None:  # of the turn before, from the second on
        scope = Scope({*scope.may, state.save_as}, scope.must, scope.params, scope.free)
    yield from template(state.args, (*here, "args"), scope)
    if state.llm is not None:
        llm = (*here, "llm")
        yield from template({"prompt": state.llm.prompt, "system": state.llm.system}, llm, scope)
        if state.llm.schema_ is not None:
            yield from schema(state.llm.schema_, (*llm, "schema"))
    if state.playbook is not None:
        yield from template(state.playbook.params, (*here, "playbook", "params"), scope)
        if state.playbook.name == body.name and state.playbook.hash is None:
            remedy = "name another playbook, or pin one with `hash`"
            yield Problem((*here, "playbook", "name"), "a cycle without bound: it calls itself", remedy)
    if state.python is not None and not FUNCTION.fullmatch(state.python):
        yield Problem((*here, "python"), f"{state.python!r} is no function", "write module:function")
    if state.tool is not None and not state.tool.strip():
        yield Problem((*here, "tool"), "the tool has no name", "name a registered tool")
    if state.compensate is not None:
        yield from template(state.compensate.args, (*here, "compensate", "args"), _with(scope, ("result",)))
    yield from conditions(state.post, (*here, "post"), scope, result=True)
    yield from _expected(state, here, scope)


def _led(state: State, here: Path, scope: Scope) -> Iterator[Problem]:
    if state.approval is not None:
        said = {"summary": state.approval.summary, "details": state.approval.details}
        yield from template(said, (*here, "approval"), scope)
        if state.on_approve is None and state.next is None:
            yield Problem(
                (*here, "approval"),
                "nobody knows where an approval leads",
                f"add on_approve: a state, or {END}",
            )
    branch = state.branch
    if branch is None:
        return
    where = (*here, "branch")
    if not branch.cases and branch.default is None:
        yield Problem(where, "a branch without a case and without a default", "add `cases`, or `default`")
    if isinstance(branch.cases, dict):
        if branch.on is None:
            yield Problem(where, "cases by value, and no value", 'add on: "{{ … }}"')
        yield from template(branch.on, (*where, "on"), scope)
        if branch.on is not None and not (isinstance(branch.on, str) and "{{" in branch.on):
            yield Problem(
                (*where, "on"), f"`on` is always {branch.on!r}", 'bind it: on: "{{ … }}"', "warning"
            )
        return
    if branch.on is not None:
        yield Problem(
            (*where, "on"),
            "`on` is not looked at where cases have conditions",
            "take it out, or write cases as an object",
        )
    for place, case in enumerate(branch.cases):
        yield from conditions(case.when, (*where, "cases", place, "when"), scope)


def _repeated(state: State, here: Path, scope: Scope) -> Iterator[Problem]:
    repeat = state.repeat
    if repeat is None:
        return
    where = (*here, "repeat")
    if repeat.for_each is not None:
        yield from template(repeat.for_each, (*where, "for_each"), scope)
        if "{{" not in repeat.for_each:
            yield Problem(
                (*where, "for_each"),
                f"{repeat.for_each!r} is no binding",
                f'write "{{{{ {repeat.for_each} }}}}"',
            )
        if repeat.as_ in _SET_BY_THE_WALK:
            yield Problem((*where, "as"), f"`{repeat.as_}` means something else already", "take another name")
        elif repeat.as_ in scope.may:
            yield Problem(
                (*where, "as"),
                f"`{repeat.as_}` hides the variable of that name",
                "take another name",
                "warning",
            )
    saved = () if state.save_as is None else (state.save_as,)
    if repeat.until is not None and not repeat.until:
        yield Problem((*where, "until"), "until nothing in particular", "write a condition on the result")
    yield from conditions(repeat.until or (), (*where, "until"), _with(scope, saved), result=True)


def _expected(state: State, here: Path, scope: Scope) -> Iterator[Problem]:
    expect = state.expect
    if expect is None:
        return
    where = (*here, "expect")
    yield from template(expect.json_, (*where, "json"), scope)
    yield from template(expect.contains, (*where, "contains"), scope)
    if expect.hash is not None and not _HASH.fullmatch(expect.hash):
        yield Problem((*where, "hash"), "that is no content id", "sha256: and 64 hex digits")
    if expect.regex is not None:
        yield from pattern(expect.regex, (*where, "regex"))
    if expect.shape is not None:
        yield from schema(expect.shape, (*where, "shape"))
    for said, limits in (expect.tolerance or {}).items():
        yield from result_path(said, (*where, "tolerance", said))
        for key in sorted({"value", "within"} ^ {*limits}):
            what = "is missing" if key in ("value", "within") else "means nothing"
            yield Problem((*where, "tolerance", said), f"`{key}` {what}", "write {value: 10, within: 0.5}")
    if not expect.model_fields_set:
        yield Problem(where, "it expects nothing", "say what, or take it out", "warning")


def _saved(state: State, here: Path) -> Iterator[Problem]:
    names: list[tuple[str, Path]] = [(name, (*here, "set", name)) for name in state.set or {}]
    if state.save_as is not None:
        names.append((state.save_as, (*here, "save_as")))
    for name, path in names:
        if name in _SET_BY_THE_WALK:
            yield Problem(path, f"`{name}` means something else already", "take another name")
        elif not _NAME.fullmatch(name):
            yield Problem(path, f"{name!r} is no name", "use letters, digits, - and _")


def _fitting(state: State, here: Path) -> Iterator[Problem]:
    """Keys that nobody looks at in such a state: a guard that is not enforced is worse than none."""
    given = state.model_fields_set
    action = state.action or "only leading on"
    unfit: list[tuple[str, str]] = []
    if state.action not in EFFECTS:
        unfit += [(key, "a state with a call") for key in _FOR_EFFECTS if key in given and _says(state, key)]
        if state.save_as is not None and state.approval is None:
            unfit.append(("save_as", "a state with a result"))
    if state.approval is None:
        unfit += [
            (key, "an approval") for key in ("on_approve", "on_reject") if getattr(state, key) is not None
        ]
    if state.safety is not None and state.tool is None:
        unfit.append(("safety", "a tool"))
    if state.branch is not None and state.next is not None:
        unfit.append(("next", "a state that is no branch; here it is `default`"))
    for key, belongs in unfit:
        yield Problem(
            (*here, key), f"`{key}` is not looked at in a state that is {action}", f"it belongs to {belongs}"
        )


def _says(state: State, key: str) -> bool:
    value: Any = getattr(state, key)
    return value not in (None, []) and not (key == "retry" and value.max_attempts == 1)


def _with(scope: Scope, names: Collection[str]) -> Scope:
    return Scope({*scope.may, *names}, {*scope.must, *names}, scope.params, scope.free)
