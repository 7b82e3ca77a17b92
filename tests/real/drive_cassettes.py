"""An agent script: every recorded OpenAI and Anthropic interaction through the real SDKs, its typed results to a file.

usage: drive_cassettes.py TOOLS_FOLDER CASSETTES_FOLDER BASE_URL OUT.json
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import spanreel

spanreel.instrument("cassettes")

import anthropic  # noqa: E402
import openai  # noqa: E402

TOOLS, FOLDER, BASE, OUT = sys.argv[1:5]
sys.path.insert(0, TOOLS)
import cassettes  # noqa: E402

SUFFIX = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "openai_embeddings": "/embeddings",
}


def interactions() -> list[Any]:
    """Every interaction of the four dialects, in a fixed order."""
    found = []
    for path in sorted(Path(FOLDER).rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".json"):
            continue
        try:
            read = list(cassettes.read(path))
        except Exception:  # not an HTTP recording: gRPC, websocket sessions, data
            continue
        found += [
            it
            for it in read
            if it.method == "POST"
            and it.dialect in (*SUFFIX, "anthropic_messages")
            and isinstance(it.request_json(), dict)
        ]
    return found


def split(request: dict[str, Any], *named: str) -> dict[str, Any]:
    """The named fields as arguments, the rest as extra body, so that the SDK sends what was recorded."""
    own = {key: value for key, value in request.items() if key in named}
    rest = {key: value for key, value in request.items() if key not in named}
    return own | ({"extra_body": rest} if rest else {})


def call(it: Any, *, asynchronous: bool) -> Any:
    """The SDK call for one interaction: a response, or a stream of events (or a coroutine of either)."""
    request = it.request_json()
    if it.dialect == "anthropic_messages":
        client: Any = (anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic)(
            base_url=f"{BASE}/{it.host}", api_key="x", max_retries=0
        )
        return client.messages.create(**split(request, "model", "messages", "max_tokens", "stream"))
    base = f"{BASE}/{it.host}{it.path[: -len(SUFFIX[it.dialect])]}"
    client = (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(
        base_url=base, api_key="x", max_retries=0
    )
    if it.dialect == "openai_chat":
        model = {"model": openai.omit} | request  # a deployment of Azure's is named in the path alone
        return client.chat.completions.create(**split(model, "model", "messages", "stream"))
    if it.dialect == "openai_responses":
        return client.responses.create(**split(request, "model", "input", "stream"))
    return client.embeddings.create(
        **split(request, "model", "input", "encoding_format", "dimensions", "user")
    )


def typed(value: Any) -> Any:
    return {"type": type(value).__name__, "value": value.model_dump(mode="json", warnings=False)}


def failure(error: Exception) -> Any:
    return {"type": type(error).__name__, "error": str(error), "status": getattr(error, "status_code", None)}


def sync_result(it: Any) -> Any:
    try:
        reply = call(it, asynchronous=False)
        return [typed(event) for event in reply] if it.request_json().get("stream") else typed(reply)
    except Exception as error:
        return failure(error)


async def async_result(it: Any) -> Any:
    try:
        reply = await call(it, asynchronous=True)
        return [typed(event) async for event in reply] if it.request_json().get("stream") else typed(reply)
    except Exception as error:
        return failure(error)


async def every_third(found: list[Any]) -> list[Any]:
    return [await async_result(it) for it in found[::3]]


def main() -> None:
    """Drive them all; write what the SDKs returned."""
    found = interactions()
    results = {"sync": [sync_result(it) for it in found], "async": asyncio.run(every_third(found))}
    Path(OUT).write_text(json.dumps(results), "utf-8")


main()
