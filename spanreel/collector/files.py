"""Spans from files and into files: OTLP in protobuf, JSON and JSON lines, each also gzipped, and Jaeger's JSON.

It must not store anything. What a file is, its bytes say; its name is not asked. A fault names file and line.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, cast

from spanreel.collector.bases import RequestBodies
from spanreel.collector.decode import decode as decode_protobuf
from spanreel.exceptions import BadInput
from spanreel.wire import attributes as names
from spanreel.wire import jaeger, otlp
from spanreel.wire.spans import Attributes, Span
from spanreel.wire.spool import HEADER, frames

Progress = Callable[[int, int], None]
"""(bytes read so far, bytes of the file, or 0 where that is not known)"""
_FORMATS: Final = "give OTLP as protobuf (.pb), JSON or JSON lines, or Jaeger JSON; gzipped or not"
_MAX_UNPACKED: Final = 8 << 30
_FORMAT: Final = 1
_HEAD: Final = (names.RECORDING_FORMAT, names.RECORDING_SPANS)


def read(path: Path, progress: Progress | None = None) -> Iterator[list[Span]]:
    """The spans of a file, a list for every request in it, request bodies made whole.

    Args:
        path: of the file; its format is found from its bytes.
        progress: called after every request.

    Raises:
        BadInput: it cannot be read, is truncated, or is none of the formats; names the line where there are lines.
    """
    bodies = RequestBodies()
    try:
        with path.open("rb") as raw:
            total = os.fstat(raw.fileno()).st_size
            for spans in _requests(raw, str(path)):
                yield bodies.whole(spans)
                if progress is not None:
                    progress(raw.tell(), total)
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise BadInput(f"{path}: the gzip data is damaged ({error})", "get the file again") from None
        raise BadInput(
            f"{path}: cannot be read ({error.strerror or error})", "check the path and its permissions"
        ) from None
    except (EOFError, zlib.error) as error:
        raise BadInput(f"{path}: the gzip data is cut off ({error})", "get the whole file again") from None


def lines(spans: Iterable[Span]) -> list[str]:
    """The lines of a recording file (`*.otlp.jsonl`), without their ends: one span each, in order of start.

    The scope of the first line says which format the file has and how many spans are in it, as attributes that `read`
    takes off again: a file that is cut off between two lines is noticed by it.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ns, span.span_id))
    head = {names.RECORDING_FORMAT: _FORMAT, names.RECORDING_SPANS: len(ordered)}
    return [
        otlp.encode_line(span if place else _scoped(span, {**span.scope.attributes, **head}))
        for place, span in enumerate(ordered)
    ]


def write_jsonl(spans: Iterable[Span], path: Path) -> int:
    """Write a recording file, see `lines`. Gives the number of spans.

    The file appears whole or not at all, readable by its owner only.

    Raises:
        BadInput: it cannot be written.
    """
    found = lines(spans)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in found)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written ({error.strerror})", "check the folder and its permissions"
        ) from None
    return len(found)


def _scoped(span: Span, attributes: Attributes) -> Span:
    return replace(span, scope=replace(span.scope, attributes=attributes))


@dataclass(slots=True)
class _Announced:
    """What the head of a recording file says about it, held against what is in it. Files put together have several."""

    name: str
    expected: int = 0
    found: int = 0

    def line(self, place: str, spans: list[Span]) -> list[Span]:
        """Take a line in; its spans without what they say about the file.

        Raises:
            BadInput: of a head: it is of a newer format, or damaged; or the file before it lacks spans.
        """
        said = spans[0].scope.attributes if spans else {}
        if names.RECORDING_SPANS in said:
            self.end()
            version, count = said.get(names.RECORDING_FORMAT), said[names.RECORDING_SPANS]
            if not isinstance(version, int) or not isinstance(count, int):
                raise BadInput(f"{place}: the head of the recording is damaged", "get the whole file again")
            if version != _FORMAT:
                raise BadInput(
                    f"{place}: the recording has format {version}, and this version reads format {_FORMAT}",
                    "pip install --upgrade spanreel",
                )
            self.expected, self.found = count, 0
            own = {key: value for key, value in said.items() if key not in _HEAD}
            spans = [_scoped(span, own) for span in spans]
        self.found += len(spans)
        return spans

    def end(self) -> None:
        """Nothing more comes.

        Raises:
            BadInput: there were to be more spans.
        """
        if self.found < self.expected:
            raise BadInput(
                f"{self.name}: the file is cut off: it has {self.found} of its {self.expected} spans",
                "get the whole file again",
            )


def _requests(raw: IO[bytes], name: str) -> Iterator[list[Span]]:
    file: IO[bytes] = raw
    if raw.read(2) == b"\x1f\x8b":
        raw.seek(0)
        file = cast("IO[bytes]", io.BufferedReader(_Unpacked(raw, name)))
    else:
        raw.seek(0)
    start = file.read(4096)
    rest = _Joined(start, file)
    if not start.strip():
        raise BadInput(f"{name}: the file is empty", _FORMATS)
    if start.startswith(HEADER):
        yield from _spool(rest.everything(), name)
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        yield from _json(rest, name)
    else:
        yield _protobuf(rest.everything(), name)


class _Unpacked(io.RawIOBase):
    """gzip, with a bound on what it may unpack to."""

    def __init__(self, raw: IO[bytes], name: str) -> None:
        self._file = gzip.GzipFile(fileobj=raw)
        self._name = name
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._file.readinto(buffer)
        self._read += count
        if self._read > _MAX_UNPACKED:
            raise BadInput(f"{self._name}: unpacks to more than {_MAX_UNPACKED >> 30} GiB", "split the file")
        return count


class _Joined:
    """A file whose beginning has been read already."""

    def __init__(self, start: bytes, file: IO[bytes]) -> None:
        self._start = start
        self._file = file

    def everything(self) -> bytes:
        return self._start + self._file.read()

    def lines(self) -> Iterator[bytes]:
        head, newline, pending = self._start.rpartition(b"\n")
        yield from (head + newline).splitlines(keepends=True) if newline else ()
        pending = pending if newline else self._start
        for line in self._file:
            yield pending + line
            pending = b""
        if pending:
            yield pending


def _spool(data: bytes, name: str) -> Iterator[list[Span]]:
    torn, found = 0, frames(data, 0)
    while True:
        torn += found.torn_bytes
        for payload in found.payloads:
            yield _protobuf(payload, name)
        if not found.more:
            break
        found = frames(data, found.next_offset)
    if torn:
        raise BadInput(f"{name}: {torn} bytes are no whole record; the rest was read", "spanreel runs")


def _protobuf(data: bytes, name: str) -> list[Span]:
    try:
        decoded = decode_protobuf(data)
    except BadInput as fault:
        raise BadInput(f"{name}: {fault.args[0]}", _FORMATS) from None
    if decoded.rejected:
        raise BadInput(f"{name}: {decoded.rejected[0]}", _FORMATS)
    if not decoded.spans:
        raise BadInput(f"{name}: no span in it", _FORMATS)
    return decoded.spans


def _json(rest: _Joined, name: str) -> Iterator[list[Span]]:
    """JSON lines as long as every line is a document of its own; else the whole file is one."""
    lines = rest.lines()
    seen = b""
    spans_found = False
    announced = _Announced(name)
    for number, line in enumerate(lines, start=1):
        text = line.strip(b"\xef\xbb\xbf \t\r\n\x1e")
        if not text:
            continue
        try:
            document = _parsed(text)
        except BadInput as fault:
            if spans_found:
                raise BadInput(f"{name}:{number}: {fault.args[0]}", _remedy_of(text)) from None
            seen = line
            break
        spans = _decoded(document, f"{name}:{number}")
        spans_found = True
        yield announced.line(f"{name}:{number}", spans)
    announced.end()
    if seen:
        whole = seen + b"".join(lines)
        try:
            document = _parsed(whole)
        except BadInput as fault:
            raise BadInput(f"{name}:{fault.args[0]}", _remedy_of(whole)) from None
        yield _decoded(document, name)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        end = error.pos >= len(text.decode("utf-8", "replace").rstrip())
        what = (
            "the JSON is cut off" if end or error.msg.startswith("Unterminated") else f"not JSON: {error.msg}"
        )
        raise BadInput(f"{error.lineno}: {what} at column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"1: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadInput("1: the JSON nests too deep") from None
    except ValueError as error:  # numbers of thousands of digits
        raise BadInput(f"1: {error}") from None


def _remedy_of(text: bytes) -> str:
    return "get the whole file again" if text[:1] in (b"{", b"[") else _FORMATS


def _decoded(document: Any, place: str) -> list[Span]:
    try:
        if jaeger.is_jaeger(document):
            return jaeger.decode(document)
        return otlp.decode(document)
    except BadInput as fault:
        raise BadInput(f"{place}: {fault.args[0]}", fault.remedy or _FORMATS) from None
