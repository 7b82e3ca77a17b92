"""The tracer provider: other instrumentations' calls belong to the run that ours belong to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from model_server import ModelServer

from spanreel.collector.store import open_reader

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, anthropic, openai, spanreel
spanreel.instrument()
from opentelemetry import trace
server = os.environ["SERVER"]
claude = anthropic.Anthropic(api_key="k", base_url=server)  # emits a span of its own for each call
gpt = openai.OpenAI(api_key="k", base_url=server + "/v1")
def ask():
    claude.messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=[{"role": "user", "content": "x"}])
ask()
gpt.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": "x"}])
ask()
"""
SERVED = """
with trace.get_tracer("web").start_as_current_span("GET /ask", kind=trace.SpanKind.SERVER):
    ask()
"""


def record(code: str, server: ModelServer) -> None:
    """Run a script in a process of its own."""
    environment = os.environ | {"SERVER": server.url, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_calls_of_an_sdk_that_emits_spans_belong_to_the_process(server: ModelServer, store: Path) -> None:
    """A plain script is one run, whichever SDK it calls; nothing is counted twice."""
    record(SCRIPT, server)
    with open_reader(store) as reader:
        [run] = reader.runs()
        assert [step.record.kind for step in run.steps] == ["llm"] * 3
    assert (run.agent_name, run.status) == ("python -c", "completed")


def test_a_span_that_is_no_call_is_a_run_of_its_own(server: ModelServer, store: Path) -> None:
    """An inbound request that another instrumentation saw is not put below the process."""
    record(SCRIPT + SERVED, server)
    with open_reader(store) as reader:
        served, script = reader.runs()
        assert (len(served.steps), len(script.steps)) == (1, 3)
    assert served.root is not None
    assert served.root.name == "GET /ask"
