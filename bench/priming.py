"""What a prompt block of `spanreel.prime` and a dispatch do to the runs of an example agent, measured from its recorded spans.

usage: python bench/priming.py [--tasks N] [--out bench/results/priming.json]

The agent is real (the openai SDK, recorded tools); the model behind it is a server on 127.0.0.1 whose policy is SCRIPTED:
without a hint it looks around before it acts, and where its instructions number steps that name its tools, it takes
them. So the figures show the plumbing and what the block costs and saves in tokens under that policy. They say nothing
of how much a real model gains.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import openai

import spanreel
from spanreel.instrument import invocation
from spanreel.replay.playbooks.compiling.compiler import compile_runs
from spanreel.replay.playbooks.dispatching.dispatch import dispatch
from spanreel.replay.playbooks.dispatching.prime import prime
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import promote
from spanreel.replay.playbooks.shadows.shadow import shadow_over

GOAL = "exchange the item of a delivered order"
INSTRUCTIONS = "You are a clerk at an order desk. Use the tools, then say what you did."
USERS = ("ann", "bob", "cem", "dora", "eve")
MOST_TURNS = 20


def desk_orders() -> dict[str, dict]:
    """The orders that there are."""
    return {
        f"W{100 + place}": {
            "id": f"W{100 + place}",
            "status": "delivered",
            "user": USERS[place % len(USERS)],
            "item": f"i-{(place * 7919) % 9000 + 1000}",
        }
        for place in range(40)
    }


ORDERS = desk_orders()


@spanreel.tool(safety="read")
def desk_policies() -> list[str]:
    """The rules of the desk."""
    return [
        f"Rule {number}: " + "an exchange needs a delivered order and the item's id. " * 3
        for number in range(1, 6)
    ]


@spanreel.tool(safety="read")
def desk_user(name: str) -> dict:
    """A user and the orders of that user."""
    return {"name": name, "orders": [order["id"] for order in ORDERS.values() if order["user"] == name]}


@spanreel.tool(safety="read")
def desk_order(order_id: str) -> dict:
    """An order."""
    return dict(ORDERS[order_id])


@spanreel.tool(safety="read")
def desk_item(item_id: str) -> dict:
    """An item."""
    return {"id": item_id, "description": "a thing that somebody bought " * 8}


@spanreel.tool(safety="write")
def desk_exchange(order_id: str, old_item: str, new_item: str) -> dict:
    """Exchanges an item of an order for another one."""
    return {"order_id": order_id, "old_item": old_item, "new_item": new_item, "status": "exchange requested"}


TOOLS = {one.__name__: one for one in (desk_policies, desk_user, desk_order, desk_item, desk_exchange)}
PARAMS = {
    "desk_policies": [], "desk_user": ["name"], "desk_order": ["order_id"], "desk_item": ["item_id"],
    "desk_exchange": ["order_id", "old_item", "new_item"],
}  # fmt: skip
DEFINITIONS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": TOOLS[name].__doc__,
            "parameters": {
                "type": "object",
                "properties": {one: {"type": "string"} for one in params},
                "required": params,
            },
        },
    }
    for name, params in PARAMS.items()
]


class Policy:
    """The scripted model: what it says next, by what it has been told and what it has seen."""

    wandering = ("desk_policies", "desk_order", "desk_user", "desk_item", "desk_order", "desk_exchange")

    def next(self, messages: list[dict]) -> tuple[str, dict] | None:
        """The tool call to make; None: it is done."""
        made = [call["function"]["name"] for one in messages for call in one.get("tool_calls") or ()]
        told = "\n".join(one["content"] for one in messages if one["role"] == "system")
        hinted = [name for name in re.findall(r"^\d+\. (\w+)\(", told, re.MULTILINE) if name in PARAMS]
        way = hinted or self.wandering
        if len(made) >= len(way):
            return None
        name = way[len(made)]
        facts = self.facts(messages)
        return name, {param: facts.get(param, "") for param in PARAMS[name]}

    def facts(self, messages: list[dict]) -> dict[str, str]:
        """What the task and the results of tools say."""
        task = next(one["content"] for one in messages if one["role"] == "user")
        order, new = re.findall(r"\bW\d+\b", task), re.findall(r"\bi-\d+\b", task)
        found = {"order_id": order[0], "new_item": new[0]}
        for one in messages:
            said = json.loads(one["content"]) if one["role"] == "tool" else None
            if isinstance(said, dict) and "item" in said:
                found |= {"old_item": said["item"], "item_id": said["item"], "name": said["user"]}
        return found


@contextmanager
def model_server() -> Iterator[str]:
    """The scripted model behind OpenAI's protocol; a token is four characters of what was sent or said."""
    policy = Policy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            request = json.loads(raw)
            step = policy.next(request["messages"])
            number = len(request["messages"])
            message: dict = {"role": "assistant", "content": None if step else "The exchange was requested."}
            if step:
                function = {"name": step[0], "arguments": json.dumps(step[1])}
                message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
            sent, said = len(raw) // 4, len(json.dumps(message)) // 4
            body = json.dumps({
                "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": request["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if step else "stop"}],
                "usage": {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said},
            }).encode()  # fmt: skip
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def clerk(url: str, instructions: str = INSTRUCTIONS):
    """The agent: a loop of model calls and tool calls on the real SDK."""

    @spanreel.agent(name="clerk")
    def agent(goal: str, order_id: str, new_item: str) -> str:
        messages: list[dict] = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": f"Please {goal}: order {order_id}, for the item {new_item}."},
        ]
        with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
            for _ in range(MOST_TURNS):
                answer = client.chat.completions.create(
                    model="gpt-4o-mini", messages=messages, tools=DEFINITIONS
                )
                message = answer.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                if not message.tool_calls:
                    return message.content or ""
                for call in message.tool_calls:
                    result = TOOLS[call.function.name](**json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
        raise RuntimeError("the agent did not come to an end")

    return agent


def recorded(agent, task: dict) -> str:
    """Run the agent; the id of its run."""
    agent(**task)
    root = invocation.current_root()
    assert root is not None
    return root.run_id


def task(place: int) -> dict:
    """The place-th task."""
    return {"goal": GOAL, "order_id": f"W{100 + place}", "new_item": f"i-{5000 + place}"}


def writes(replay) -> list:
    """What a run changed."""
    return [(one.tool_name, one.tool_args) for one in replay.tool_calls if one.safety != "read"]


def figures(runs: list) -> dict:
    """Means over runs."""
    return {
        "model_calls": sum(sum(step.kind == "llm" for step in one.steps) for one in runs) / len(runs),
        "tool_calls": sum(len(one.tool_calls) for one in runs) / len(runs),
        "input_tokens": sum(one.tokens.input_tokens or 0 for one in runs) / len(runs),
        "output_tokens": sum(one.tokens.output_tokens or 0 for one in runs) / len(runs),
    }


def measure(store: Path, tasks: int) -> dict:
    """Three runs become a playbook; then the same tasks unprimed, primed and dispatched."""
    instrumented = spanreel.instrument(store=store)
    try:
        with model_server() as url:
            sources = [recorded(clerk(url), task(place)) for place in range(3)]
            held_out = [recorded(clerk(url), task(place)) for place in range(3, 6)]
            instrumented.flush()
            made = compile_runs([spanreel.load(one, store) for one in sources], "exchange", goal=GOAL)
            Library(store).add(made.body, report=made.report.model_dump(mode="json"))
            shadows = shadow_over(made.body, held_out, store=store)
            promote("exchange", reason="three shadows of held-out runs", store=store)
            block = prime(GOAL, store=store)
            wanted = [task(place) for place in range(6, 6 + tasks)]
            plain = [recorded(clerk(url), one) for one in wanted]
            primed = [recorded(clerk(url, f"{INSTRUCTIONS}\n\n{block.prompt}"), one) for one in wanted]
            done = [dispatch(GOAL, one, clerk(url), store=store) for one in wanted]
            instrumented.flush()
        before, after = ([spanreel.load(one, store) for one in runs] for runs in (plain, primed))
        walked = [spanreel.load(one.run_id, store) for one in done]
        diffs = [spanreel.diff(a, b) for a, b in zip(before, after, strict=True)]
        saved = [one.saved for one in done if one.saved]
        return {
            "tasks": tasks,
            "shadows": {"same": shadows.same, "of": len(shadows.runs)},
            "block_characters": len(block.prompt),
            "unprimed": figures(before),
            "primed": figures(after),
            "dispatched": figures(walked),
            "diff": {
                "total_tokens": sum(one.token_diff.total_tokens or 0 for one in diffs) / tasks,
                "tool_calls_removed": sum(len(one.tool_calls_diff.removed) for one in diffs) / tasks,
                "tool_calls_added": sum(len(one.tool_calls_diff.added) for one in diffs) / tasks,
            },
            "same_writes": {
                "primed": sum(writes(a) == writes(b) for a, b in zip(before, after, strict=True)),
                "dispatched": sum(writes(a) == writes(b) for a, b in zip(before, walked, strict=True)),
            },
            "by_playbook": sum(one.by == "playbook" and one.ok for one in done),
            "said_to_be_saved": {
                "model_calls": sum(one.model_calls or 0 for one in saved) / tasks,
                "tokens": sum(one.tokens or 0 for one in saved) / tasks,
            },
        }
    finally:
        spanreel.uninstrument()


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parent / "results" / "priming.json"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spanreel-bench-") as folder:
        found = measure(Path(folder) / "spans.db", asked.tasks)
    text = json.dumps(found, indent=2)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
