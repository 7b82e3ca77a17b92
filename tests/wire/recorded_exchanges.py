"""Recorded exchanges with model APIs: a few that live here, and all of the shared cassettes."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanreel.wire import lenient
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.recognise import recognise

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDINGS = Path(__file__).parents[1] / "recordings"


@dataclass(frozen=True)
class Exchange:
    """A request and its reply, as they went over the wire."""

    name: str
    method: str
    url: str
    request: bytes
    reply: Reply

    def read(self, body: bytes | None = None) -> Call:
        """The call that the dialect reads in it, or in other reply bytes."""
        dialect = recognise(self.method, self.url, self.request)
        assert dialect is not None
        reply = self.reply if body is None else Reply(self.reply.status, body, self.reply.content_type)
        return dialect.read(lenient.mapping(lenient.parse(self.request)), reply)


def local_exchanges() -> dict[str, Exchange]:
    """The exchanges under tests/recordings, by name."""
    rows: list[dict[str, Any]] = json.loads((RECORDINGS / "exchanges.json").read_text("utf-8"))
    return {
        row["name"]: Exchange(
            row["name"],
            row["method"],
            row["url"],
            row["request"].encode(),
            Reply(row["status"], row["reply"].encode(), row["content_type"]),
        )
        for row in rows
    }


def cassette_exchanges(data: Path) -> Iterator[tuple[str, Exchange]]:
    """Every interaction of the shared cassettes, with the dialect that their own reader gives it."""
    spec = importlib.util.spec_from_file_location("cassettes", data / "tools" / "cassettes.py")
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    sys.modules["cassettes"] = reader
    spec.loader.exec_module(reader)
    for path in sorted((data / "cassettes").rglob("*")):
        for found in reader.read(path) if path.is_file() else ():
            reply = Reply(found.status, found.decoded_response(), found.content_type)
            yield (
                found.dialect,
                Exchange(f"{path.name}#{found.index}", found.method, found.url, found.req_body, reply),
            )
