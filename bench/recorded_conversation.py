"""What our own recording of a growing conversation takes on disk, bodies included: the spool, then the store.

usage: python bench/recorded_conversation.py [--turns 10,50,100,200] [--out FILE]

The real openai SDK over a mock transport sends a conversation that grows by two messages a turn, twice: compact, and edited
half-way (the first user message is replaced, as a compaction would). Reported per length: bytes of the distinct messages, of the
requests as sent, of the spool file, of the store after the spool was drained.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

SHARED = Path(os.environ.get("SPANREEL_SHARED") or Path(__file__).resolve().parents[2] / "shared")
sys.path.insert(0, str(SHARED / "bench"))

import httpx2  # noqa: E402
import openai  # noqa: E402
import workloads  # noqa: E402

import spanreel  # noqa: E402
from spanreel.collector.store import open_reader, open_writer  # noqa: E402


def converse(turns: int, edited: bool) -> tuple[int, int]:
    """Drive one conversation; returns (bytes of distinct messages, bytes of request bodies)."""
    history = workloads.history(2 * turns + 1, 480, seed=("conv", turns))
    sent: list[int] = []
    reply = iter(history[2::2])

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(len(request.content))
        body = json.loads(workloads.chat_completion_body())
        body["choices"][0]["message"] = next(reply, {"role": "assistant", "content": "done"})
        return httpx2.Response(200, json=body)

    client = openai.OpenAI(
        api_key="x",
        base_url="http://mock.local/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    distinct = {json.dumps(message) for message in history}
    with spanreel.run("conversation"):
        for turn in range(turns):
            messages = history[: 2 * turn + 2]
            if edited and turn >= turns // 2:
                messages = [messages[0], {"role": "user", "content": "(compacted)"}, *messages[2:]]
            client.chat.completions.create(
                model="gpt-4.1-mini", messages=messages, tools=workloads.TOOLS, temperature=0.2
            )
    return sum(map(len, distinct)), sum(sent)


def measure(turns: int, edited: bool) -> dict[str, float | int | bool]:
    folder = Path(tempfile.mkdtemp(prefix="spanreel-bench-"))
    handle = spanreel.instrument("bench", store=folder / "spans.db")
    distinct, sent = converse(turns, edited)
    handle.flush()
    handle.uninstrument()
    spool = sum(path.stat().st_size for path in (folder / "spans.db.spool").iterdir())
    with open_reader(folder / "spans.db") as reader:
        spans = sum(len(run.records) for run in reader.runs())
    open_writer(folder / "spans.db").close()  # the last one to write takes the WAL into the file
    store = sum(path.stat().st_size for path in folder.glob("spans.db*") if path.is_file())
    per_span = (store - distinct) / spans
    return {"turns": turns, "edited": edited, "spans": spans, "distinct_message_bytes": distinct, "request_bytes": sent, "spool_bytes": spool,
            "store_bytes": store, "store_over_distinct": round(store / distinct, 2), "bytes_a_span_beyond_messages": round(per_span)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", default="10,50,100,200")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [measure(int(turns), edited) for edited in (False, True) for turns in options.turns.split(",")]
    for row in rows:
        print(json.dumps(row))
    if options.out:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


main()
