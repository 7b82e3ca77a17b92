"""Offline is offline: recorded programs run again where the system itself has no network, and do all they did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, environment
from programs import NO_SERVER, record
from scripted_server import ScriptedServer

from spanreel.replay.load import load

SHOP = """
import asyncio, json, os, sys
from concurrent.futures import ThreadPoolExecutor
import openai, spanreel

base = os.environ["MODEL_SERVER"] + "/v1"
client = openai.OpenAI(base_url=base, max_retries=0)
aclient = openai.AsyncOpenAI(base_url=base, max_retries=0)

def said(text, **more):
    return {"model": "m-1", "messages": [{"role": "user", "content": text}], **more}

@spanreel.tool(safety="irreversible")
def pay(amount):
    with open("paid.txt", "a") as book:
        book.write(f"{amount}\\n")
    return {"paid": amount}

@spanreel.tool(safety="read")
def broken(amount):
    raise LookupError(f"no {amount}")

async def parallel():
    same = [aclient.chat.completions.create(**said("same")) for _ in range(3)]
    print([one.choices[0].message.content for one in await asyncio.gather(*same)])
    print([chunk.model_dump() async for chunk in await aclient.chat.completions.create(**said("stream", stream=True))])

def failed(call, *args):
    try:
        call(*args)
    except Exception as error:
        response = getattr(error, "response", None)
        print(type(error), error, type(error.__cause__), response and (response.status_code, response.headers["retry-after"], error.body))

@spanreel.agent
def shop(question, *, times=2):
    print(sys.argv[1:], repr(client.chat.completions.create(**said(question))))
    with ThreadPoolExecutor(4) as pool:
        print(list(pool.map(lambda n: client.chat.completions.create(**said(f"thread {n % 2}")).id, range(4))))
    asyncio.run(parallel())
    with client.chat.completions.with_streaming_response.create(**said("a b c", stream=True)) as raw:
        print([bytes(chunk) for chunk in raw.http_response.iter_raw()])
    failed(lambda: client.chat.completions.create(**said("status 429")))
    failed(lambda: openai.OpenAI(base_url="http://127.0.0.1:9/v1", max_retries=0).chat.completions.create(**said("gone")))
    failed(broken, 5)
    print([pay(number) for number in range(times)])

if __name__ == "__main__":
    shop("hello", times=3)
"""
CALLING = "import shop\nshop.shop('hello', times=3)\nprint('the caller', __name__)"
OWN = "import spanreel\nspanreel.instrument()\n"


def without_network() -> list[str]:
    """What a command is put behind to have no network at all, not even loopback; nothing where that cannot be had."""
    line = ["unshare", "-rn"]
    able = shutil.which("unshare") and subprocess.run([*line, "true"], capture_output=True, check=False)
    return line if able and able.returncode == 0 else []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the programs are."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    Path("shop.py").write_text(SHOP)
    Path("calling.py").write_text(CALLING)
    Path("own.py").write_text(OWN + SHOP)
    return tmp_path


def by_itself(*command: str) -> str:
    """Run a program that switches recording on by itself; what it printed."""
    with ScriptedServer() as server:
        environ = os.environ | {"MODEL_SERVER": server.url}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


RECORDED = {
    "an agent function": (record, [sys.executable, "calling.py"], []),
    "a script": (by_itself, [sys.executable, "own.py", "--loud"], []),
    "spanreel run": (record, [sys.executable, "-m", "shop", "one", "two"], []),
    "a command given now": (record, [sys.executable, "shop.py"], ["--", sys.executable, "other.py"]),
}


@pytest.mark.parametrize("how", RECORDED)
def test_everything_an_agent_does_is_replayed_without_a_network(how, folder, monkeypatch):
    """Plain, async, threads, streams chunk by chunk, failures by type; no tool runs, no key is there, nobody is asked."""
    recorder, command, given = RECORDED[how]
    first = recorder(*command)
    assert len(first.splitlines()) == 9 + (how == "an agent function")
    Path("paid.txt").unlink()
    Path("other.py").write_text(SHOP)
    monkeypatch.delenv("OPENAI_API_KEY")
    environ = environment(folder, MODEL_SERVER=NO_SERVER, COLUMNS="80")
    with ScriptedServer() as server:
        line = [*without_network(), sys.executable, "-m", "spanreel", "replay", load().run_id, *given]
        environ["MODEL_SERVER"] = server.url
        done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=90, check=False)
        assert server.requests == []
    assert done.returncode == 0, done.stdout + done.stderr
    told = first.replace("the caller __main__\n", "")  # of the function's caller nothing is run
    assert done.stdout[: len(told)] == told
    assert done.stdout[len(told) :].startswith("exact: every call was the recorded one\n")
    assert not Path("paid.txt").exists()
