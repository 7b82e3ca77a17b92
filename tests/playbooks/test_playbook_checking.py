"""What the parts of a playbook mean together: each thing that can be wrong, by line; and that a right one is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.formats.checking import check, unregistered
from spanreel.replay.playbooks.formats.file import examined
from spanreel.replay.playbooks.formats.flow import endless, reachable, variables

BEGIN = """spanreel: playbook/v1
name: p
params: {order_id: {}, count: {type: integer, required: false}}
initial: a
states:
"""


def problems(states: str, begin: str = BEGIN) -> list[str]:
    """What is wrong with these states: level, line and message; the remedy after an arrow."""
    found = examined(begin + states, "p.yaml")
    return [f"{one.level} {found.said(one)[7:]} → {one.remedy}" for one in found.problems]


def errors(states: str, begin: str = BEGIN) -> list[str]:
    """Without warnings."""
    return [one.removeprefix("error ") for one in problems(states, begin) if one.startswith("error ")]


RIGHT = [
    "  a: {tool: t, args: {x: '{{ params.order_id }}'}}\n",
    "  a: {tool: t, save_as: x, next: b}\n  b: {tool: u, args: {y: '{{ x.id }}'}, post: [{json: ok, equals: true}]}\n",
    "  a: {tool: t, save_as: x, repeat: {until: [{json: done, equals: true}], max: 3}, args: {after: '{{ params.count }}'}}\n",
    "  a: {tool: t, repeat: {for_each: '{{ params.order_id }}', max: 3}, args: {x: '{{ item }}'}, post: [{json: id, equals: '{{ item }}'}]}\n",
    "  a: {tool: t, on_failure: b}\n  b: {approval: {id: x, summary: 'failed: {{ failure.reason }}'}, on_approve: end}\n",
    "  a: {set: {n: 0, m: '{{ n }}'}, next: b}\n  b: {tool: t, max_visits: 3, next: c}\n  c: {branch: {on: '{{ m }}', cases: {'0': b}, default: end}}\n",
    "  a: {python: 'shop:choose'}\n  b: {tool: t}\n",
    "  a: {tool: t, compensate: {tool: u, args: {id: '{{ result.id }}'}}}\n",
    "  a: {tool: t, post: [{exit_code: 0, stdout_contains: ok}, {any: [{file_exists: x}, {not: {json: '', equals: 1}}]}]}\n",
    "  a: {branch: {cases: [{when: [{json: params.count, min: 1}], next: b}], default: end}}\n  b: {llm: {prompt: hi}}\n",
    "  a: {next: b}\n  b: {assert: [{var: params.count, exists: true}]}\n",
]


@pytest.mark.parametrize("states", RIGHT)
def test_a_right_one_is_left_alone(states: str) -> None:
    """Nothing is found where nothing is wrong."""
    assert problems(states) == []


@pytest.mark.parametrize(
    ("states", "message"),
    [
        # the graph
        ("  b: {tool: t}\n", "4: there is no state `a` → there are b"),
        ("  a: {tool: t, next: bb}\n  b: {tool: t}\n", "6: there is no state `bb` → did you mean `b`?"),
        ("  a: {tool: t, on_failure: nowhere}\n", "6: there is no state `nowhere` → there are a, end"),
        ("  a: {approval: {id: x}, on_approve: nowhere}\n", "6: there is no state `nowhere`"),
        ("  a: {approval: {id: x}, next: nowhere}\n", "6: there is no state `nowhere`"),
        ("  a: {approval: {id: x}, on_approve: end, on_reject: nowhere}\n", "6: there is no state `nowhere`"),
        ("  a:\n    branch:\n      on: '{{ params.count }}'\n      cases:\n        x: nowhere\n", "10: there is no state `nowhere`"),
        ("  a:\n    branch:\n      cases:\n        - when: []\n          next: nowhere\n", "10: there is no state `nowhere`"),
        ("  a:\n    branch:\n      on: '{{ params.count }}'\n      cases: {x: end}\n      default: nowhere\n", "10: there is no state `nowhere`"),
        ("  a: {next: end}\n  end: {tool: t}\n", "7: `end` is where a path is over, and no state"),
        ("  a: {tool: t, next: a}\n", "6: a cycle without bound: a → a → give one of its states max_visits: a: {max_visits: 5, …}"),
        ("  a: {tool: t, next: b}\n  b: {branch: {on: '{{ params.count }}', cases: {x: a}, default: end}}\n", "6: a cycle without bound: a → b → a"),
        ("  a: {tool: t, on_failure: a}\n", "6: a cycle without bound: a → a"),
        ("  a: {tool: t, repeat: {until: [{json: x, equals: 1}], max: 3}, next: a}\n", "6: a cycle without bound: a → a"),
        ("  a: {playbook: {name: p}}\n", "6: a cycle without bound: it calls itself"),
        ("  a: {approval: {id: x}}\n", "6: nobody knows where an approval leads → add on_approve: a state, or end"),
        ("  a: {branch: {on: '{{ params.count }}', cases: {}}}\n", "6: a branch without a case and without a default"),
        ("  a: {branch: {cases: {x: end}}}\n", "6: cases by value, and no value"),
        ("  a: {branch: {on: '{{ params.count }}', cases: [{when: [], next: end}]}}\n", "6: `on` is not looked at where cases have conditions"),
        # bindings
        ("  a: {tool: t, args: {x: '{{ orders.id }}'}}\n", "6: {{ orders.id }} is bound to nothing: `orders` is not set on any way to here"),
        ("  a: {tool: t, args: {x: '{{ order_id }}'}}\n", "6: {{ order_id }} is bound to nothing: `order_id` is not set on any way to here → write params.order_id"),
        ("  a: {tool: t, args: {x: '{{ params.ordr_id }}'}}\n", "6: {{ params.ordr_id }}: there is no parameter `ordr_id` → did you mean `order_id`?"),
        ("  a: {tool: t, args: {x: \"{{ params['ordr'] }}\"}}\n", "6: {{ params['ordr'] }}: there is no parameter `ordr`"),
        ("  a: {tool: t, save_as: x, next: b}\n  b: {tool: t, args:\n       {y: '{{ x[?@.n == $.params.nope].id }}'}}\n", "8: {{ x[?@.n == $.params.nope].id }}: there is no parameter `nope`"),
        ("  a: {tool: t, args: {x: '{{ y }}'}, next: b}\n  b: {tool: t, save_as: y}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, args: {x: '{{ item }}'}}\n", "6: {{ item }} is bound to nothing"),
        ("  a: {tool: t, args: {x: '{{ result }}'}}\n", "6: {{ result }} is bound to nothing"),
        ("  a: {tool: t, args: {x: '{{ failure.reason }}'}}\n", "6: {{ failure.reason }} is bound to nothing"),
        ("  a: {tool: t, save_as: x, on_failure: b}\n  b: {tool: t, args: {y: '{{ failure.reason }}', z: '{{ q }}'}}\n", "7: {{ q }} is bound to nothing"),
        ("  a: {llm: {prompt: 'x', system: '{{ y }}'}}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {approval: {id: x, details: {y: ['{{ z }}']}}, on_approve: end}\n", "6: {{ z }} is bound to nothing"),
        ("  a: {playbook: {name: q, params: {y: '{{ z }}'}}}\n", "6: {{ z }} is bound to nothing"),
        ("  a: {set: {x: '{{ y }}', y: 1}}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, expect: {json: {x: '{{ y }}'}}}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, compensate: {tool: u, args: {x: '{{ y }}'}}}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, repeat: {for_each: '{{ y }}', max: 3}}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, repeat: {for_each: params.order_id, max: 3}}\n", "6: 'params.order_id' is no binding → write \"{{ params.order_id }}\""),
        ("  a: {tool: t, args: {x: \"{{ __import__('os') }}\"}}\n", "6: {{ __import__('os') }} is no JSON path"),
        ("  a: {tool: t, args: {x: '{{ params.order_id | shell }}'}}\n", "6: there is no filter 'shell'"),
        ("  a: {tool: t, args: {x: '{{ params.order-id }}'}}\n", "6: {{ params.order-id }} is no JSON path"),
        # conditions
        ("  a: {tool: t, pre: [{json: order.status, equals: x}]}\n", "6: {{ order.status }} is bound to nothing"),
        ("  a: {tool: t, pre: [{jsn: params.count, equals: x}]}\n", "6: nobody knows the condition `jsn` → did you mean `json`?"),
        ("  a: {tool: t, post: [{json: status, eqals: x}]}\n", "6: nobody knows the condition `eqals` → did you mean `equals`?"),
        ("  a: {tool: t, post: [{json: status}]}\n", "6: it asks nothing"),
        ("  a: {tool: t, post: [{equals: 3}]}\n", "6: it does not say of what → name a path with `json`"),
        ("  a: {tool: t, post: [{json: a, var: params.count, equals: 3}]}\n", "6: a condition is of one thing"),
        ("  a: {tool: t, post: [{json: 'a[', equals: 3}]}\n", "6: {{ a[ }} is no JSON path"),
        ("  a: {tool: t, post: [{json: a-b, equals: 3}]}\n", "6: {{ a-b }} is no JSON path"),
        ("  a: {tool: t, pre: [{json: '', equals: 3}]}\n", "6: {{ }} does not begin with a variable"),
        ("  a: {tool: t, post: [{json: a, matches: '('}]}\n", "6: that is no regular expression: missing )"),
        ("  a: {tool: t, post: [{json: a, matches: '(?:(?:a{1000}){1000}){10}'}]}\n", "6: that is no regular expression: a pattern that repeats too often"),
        ("  a: {tool: t, post: [{json: a, schema: {type: strng}}]}\n", "6: that is no JSON Schema"),
        ("  a: {tool: t, post: [{json: a, type: strng}]}\n", "6: there is no type `strng` → did you mean `string`?"),
        ("  a: {tool: t, post: [{json: a, in: x}]}\n", "6: `in` wants a list"),
        ("  a: {tool: t, post: [{json: a, min: true}]}\n", "6: `min` wants a number"),
        ("  a: {tool: t, post: [{json: a, exists: yes}]}\n", "6: `exists` is true or false"),
        ("  a: {tool: t, post: [{json: a, length: x}]}\n", "6: `length` wants a whole number"),
        ("  a: {tool: t, post: [{json: a, equals: '{{ y }}'}]}\n", "6: {{ y }} is bound to nothing"),
        ("  a: {tool: t, post: [{any: {json: a, equals: 3}}]}\n", "6: `any` is a list of conditions"),
        ("  a: {tool: t, post: [{any: [{json: a, equals: 3}], json: b}]}\n", "6: `json` asks nothing beside `any`"),
        ("  a: {tool: t, post: [{not: {all: [{json: a, eq: 3}]}}]}\n", "6: nobody knows the condition `eq`"),
        ("  a: {tool: t, post: [{}]}\n", "6: that is no condition"),
        ("  a: {tool: t, pre: [{exit_code: 0}]}\n", "6: there is no result of a program here"),
        ("  a: {tool: t, post: [{exit_code: 0, stdout: x}]}\n", "6: `stdout` asks nothing of a program's result → did you mean `stdout_contains`?"),
        ("  a: {tool: t, post: [{python: nothing}]}\n", "6: 'nothing' is no function → write module:function"),
        ("  a: {assert: [{json: nothing, equals: 1}]}\n", "6: {{ nothing }} is bound to nothing"),
        # results and keys
        ("  a: {tool: t, expect: {regex: '['}}\n", "6: that is no regular expression"),
        ("  a: {tool: t, expect: {shape: {type: 3}}}\n", "6: that is no JSON Schema"),
        ("  a: {tool: t, expect: {hash: abc}}\n", "6: that is no content id"),
        ("  a: {tool: t, expect: {tolerance: {'a[': {value: 1.5, within: 0.5}}}}\n", "6: {{ a[ }} is no JSON path"),
        ("  a: {tool: t, expect: {tolerance: {a: {value: 1.5}}}}\n", "6: `within` is missing"),
        ("  a: {llm: {prompt: x, schema: {type: objet}}}\n", "6: that is no JSON Schema"),
        ("  a: {python: 'os.system(1)'}\n", "6: 'os.system(1)' is no function"),
        ("  a: {tool: ' '}\n", "6: the tool has no name"),
        ("  a: {tool: t, save_as: params}\n", "6: `params` means something else already"),
        ("  a: {tool: t, save_as: failure}\n", "6: `failure` means something else already"),
        ("  a: {set: {result: 1}}\n", "6: `result` means something else already"),
        ("  a: {set: {'a b': 1}}\n", "6: 'a b' is no name"),
        ("  a: {tool: t, repeat: {for_each: '{{ params.order_id }}', as: result, max: 2}}\n", "6: `result` means something else already"),
        ("  a: {branch: {on: '{{ params.count }}', cases: {x: end}}, retry: {max_attempts: 2}}\n", "6: `retry` is not looked at in a state that is branch"),
        ("  a: {set: {x: 1}, repeat: {until: [{json: x, equals: 1}], max: 2}}\n", "6: `repeat` is not looked at in a state that is set"),
        ("  a: {assert: [], post: [{json: x, equals: 1}]}\n", "6: `post` is not looked at in a state that is assert"),
        ("  a: {next: end, expect: {regex: x}}\n", "6: `expect` is not looked at in a state that is only leading on"),
        ("  a: {set: {x: 1}, save_as: y}\n", "6: `save_as` is not looked at in a state that is set"),
        ("  a: {tool: t, on_approve: end}\n", "6: `on_approve` is not looked at in a state that is tool"),
        ("  a: {llm: {prompt: x}, safety: read}\n", "6: `safety` is not looked at in a state that is llm"),
        ("  a: {branch: {on: '{{ params.count }}', cases: {x: end}}, next: end}\n", "6: `next` is not looked at in a state that is branch"),
    ],
)  # fmt: skip
def test_an_error(states: str, message: str) -> None:
    """Each is found alone, at its line, with what mends it."""
    found = errors(states)
    assert len(found) == 1, found
    assert found[0].startswith(message), found[0]


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ("  a: {tool: t}\n  b: {tool: t}\n", "warning 7: nothing leads to state `b`"),
        (
            "  a: {branch: {on: '{{ params.count }}', cases: {x: b}, default: c}}\n  b: {tool: t, save_as: x, next: c}\n  c: {tool: t, args: {y: '{{ x }}'}}\n",
            "warning 8: {{ x }}: `x` is not set on every way to here",
        ),
        ("  a: {tool: t, save_as: x, on_failure: b, next: b}\n  b: {tool: t, args: {y: '{{ x }}'}}\n", "warning 7: {{ x }}: `x` is not set on every"),
        ("  a: {branch: {on: always, cases: {always: end}}}\n", "warning 6: `on` is always 'always'"),
        ("  a: {tool: t, expect: {}}\n", "warning 6: it expects nothing"),
        (
            "  a: {tool: t, save_as: item, next: b}\n  b: {tool: t, repeat: {for_each: '{{ item }}', max: 2}}\n",
            "warning 7: `item` hides the variable of that name",
        ),
    ],
)  # fmt: skip
def test_a_warning(states: str, message: str) -> None:
    """What may be right in some runs, or is of no use, is a warning."""
    (found,) = problems(states)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        ("success: [{json: result.x, equals: 1}]", ""),
        ("success: [{json: x, equals: 1}]", "4: {{ x }} is bound to nothing"),
        ("output: '{{ saved }}'", ""),
        ("output: {x: ['{{ other }}']}", "4: {{ other }} is bound to nothing"),
        ("output: '{{ result }}'", "4: {{ result }} is bound to nothing"),
        ("params: {x: {pattern: '('}}", "4: that is no regular expression"),
        ("params: {x: {type: integer, default: one}}", "4: the default does not fit: $: 'one' is not of type 'integer'"),
        ("params: {x: {type: integer, minimum: 3, maximum: 2}}", "4: minimum 3 is above maximum 2"),
        ("params: {x: {type: array, items: {type: strng}}}", "4: that is no JSON Schema"),
        ("params: {x: {type: any, default: [1]}}", ""),
        ("matchers: {input: {region: {inn: [eu]}}}", "4: nobody knows the predicate `inn` → did you mean `in`?"),
        ("matchers: {input: {'a[': {in: [eu]}}}", "4: {{ a[ }} is no JSON path"),
        ("edges: [{from: a, to: b}]", "4: there is no state `b`"),
        ("edges: [{from: a, to: end}]", ""),
    ],
)  # fmt: skip
def test_of_the_whole(begin: str, message: str) -> None:
    """Parameters, success, output, matchers and edges are looked at as well."""
    head = f"spanreel: playbook/v1\nname: p\ninitial: a\n{begin}\nstates:\n"
    found = errors("  a: {tool: t, save_as: saved}\n", head)
    assert [one.startswith(message) for one in found] == ([True] if message else []), found


def test_declared_edges_are_the_only_ones() -> None:
    """Where any edge is declared, a way that is not is an error; what a function chooses is among them."""
    states = "  a: {tool: t, next: b}\n  b: {python: 'm:f'}\n  c: {tool: t}\n"
    head = BEGIN.replace("initial", "edges: [{from: b, to: c}]\ninitial")
    assert errors(states, head) == [
        "7: the way from `a` to `b` is not declared → add {from: a, to: b} to `edges`"
    ]
    head = BEGIN.replace("initial", "edges: [{from: a, to: b}, {from: b, to: c}, {from: b, to: a}]\ninitial")
    assert errors(states, head)[0].startswith("7: a cycle without bound: a → b → a")


def test_tools_that_nobody_registered() -> None:
    """Asked apart, before a run: those of states, of compensations and of matchers."""
    text = (
        BEGIN
        + "  a: {tool: get_ordr, next: b}\n  b: {tool: u, compensate: {tool: undo}}\nmatchers: {tools: [v]}\n"
    )
    found = examined(text, "p.yaml")
    body = found.checked()
    said = [(found.line(one.path), one.message, one.remedy) for one in unregistered(body, ["get_order", "u"])]
    assert said == [
        (6, "no tool `get_ordr` is registered", "did you mean `get_order`?"),
        (7, "no tool `undo` is registered", "import the module that registers it with @spanreel.tool: --tools MODULE"),
        (8, "no tool `v` is registered", ""),
    ]  # fmt: skip
    assert unregistered(body, ["get_ordr", "u", "undo", "v"]) == []


def body(states: dict[str, Any], initial: str = "a") -> Body:
    """A body of these states."""
    return Body.model_validate({"name": "p", "initial": initial, "states": states})


def test_a_function_may_lead_anywhere() -> None:
    """Without a `next` its states are all reached; with one, or with declared edges, only those."""
    anywhere = body({"a": {"python": "m:f"}, "b": {}, "c": {}})
    assert reachable(anywhere) == {"a", "b", "c"}
    assert endless(anywhere) == []
    assert reachable(body({"a": {"python": "m:f", "next": "b"}, "b": {}, "c": {}})) == {"a", "b"}


def test_what_is_set_where() -> None:
    """On some way, on every way, after a failure, and when it is over."""
    known = variables(
        body(
            {
                "a": {"tool": "t", "save_as": "x", "next": "b", "on_failure": "c"},
                "b": {"set": {"y": 1}, "next": "c"},
                "c": {"tool": "t", "save_as": "z"},
            }
        )
    )
    assert known["b"].must == {"x"}
    assert known["c"].may == {"x", "y", "failure"}
    assert known["c"].must == set()
    assert known["end"].must == {"z"}


def test_cycles_are_told_once_each() -> None:
    """Two that are apart are two; one that a bound interrupts is none."""
    two = body(
        {"a": {"next": "b"}, "b": {"next": "a"}, "c": {"next": "c"}, "d": {"next": "a", "max_visits": 1}}
    )
    assert sorted(map(sorted, endless(two))) == [["a", "b"], ["c"]]
    bounded = body({"a": {"next": "b"}, "b": {"next": "a", "max_visits": 3}})
    assert endless(bounded) == []
    chain = {f"s{number}": {"next": f"s{number + 1}"} for number in range(3_000)}
    assert endless(body({**chain, "s3000": {}}, "s0")) == []
    assert len(endless(body({**chain, "s3000": {"next": "s0"}}, "s0"))) == 1


def test_a_body_made_in_code_is_checked_too() -> None:
    """Without a file the place is a path."""
    (found,) = check(body({"a": {"tool": "t", "args": {"x": ["{{ y }}"]}}}))
    assert found.path == ("states", "a", "args", "x", 0)
