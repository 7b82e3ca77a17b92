"""text/event-stream: bytes to events, whole or a chunk at a time.

Follows the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html) but for one
thing: an event that the end of the bytes cut off is still given, since a recording may end early.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name (empty when not given), its data lines joined, and the last id seen."""

    event: str
    data: str
    id: str = ""


@dataclass(slots=True)
class Decoder:
    """Events from chunks that may be cut anywhere, inside a character or a line end too."""

    _pending: list[bytes] = field(default_factory=list[bytes])
    _data: list[str] = field(default_factory=list[str])
    _event: str = ""
    _id: str = ""
    _begun: bool = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that this chunk completes."""
        held = bool(self._pending) and self._pending[-1].endswith(b"\r")
        if not held and b"\n" not in chunk and b"\r" not in chunk:
            self._pending.append(chunk)
            return []
        lines = b"".join((*self._pending, chunk)).splitlines(keepends=True)
        self._pending = []
        if lines and not lines[-1].endswith(b"\n"):  # a final CR may be half of CRLF
            self._pending.append(lines.pop())
        return self._take(lines)

    def finish(self) -> list[ServerEvent]:
        """The event that the end of the bytes left open, if it has data."""
        found = self._take(b"".join(self._pending).splitlines())
        self._pending = []
        return found + self._dispatch()

    def _take(self, lines: list[bytes]) -> list[ServerEvent]:
        found: list[ServerEvent] = []
        for raw in lines:
            line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
            if not self._begun:
                line, self._begun = line.removeprefix("\ufeff"), True
            if not line:
                found += self._dispatch()
            else:
                self._field(line)
        return found

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value

    def _dispatch(self) -> list[ServerEvent]:
        found = [ServerEvent(self._event, "\n".join(self._data), self._id)] if self._data else []
        self._data, self._event = [], ""
        return found


def events(body: bytes) -> list[ServerEvent]:
    """Every event of a whole body."""
    decoder = Decoder()
    return decoder.feed(body) + decoder.finish()
