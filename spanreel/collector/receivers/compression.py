"""Content encodings of request bodies, unpacked within a bound."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final

from spanreel.exceptions import BadInput

GZIP_OR_ZLIB: Final = 47
RAW_DEFLATE: Final = -15


class TooLarge(Exception):
    """The body unpacks to more than is allowed."""


class UnknownEncoding(Exception):
    """The body is packed in a way that this collector cannot unpack."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before compression.

    Args:
        body: as it came.
        encoding: the Content-Encoding header.
        limit: the most bytes it may unpack to.

    Raises:
        UnknownEncoding: neither gzip, deflate nor (where a zstd module is there) zstd.
        TooLarge: it would be larger than the limit.
        BadInput: the bytes are damaged.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        if len(body) > limit:
            raise TooLarge
        return body
    if name in ("gzip", "x-gzip"):
        return _inflate(body, GZIP_OR_ZLIB, limit)
    if name == "deflate":  # RFC 9110 says zlib; some clients send it raw
        raw = not body or (body[0] & 0x0F) != 8
        return _inflate(body, RAW_DEFLATE if raw else GZIP_OR_ZLIB, limit)
    if name == "zstd" and (module := _zstd()) is not None:
        return _decompress(module, body, limit)
    raise UnknownEncoding(name)


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    return _unpacked(body, limit, lambda: zlib.decompressobj(window), zlib.error)


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _decompress(module: Any, body: bytes, limit: int) -> bytes:
    return _unpacked(body, limit, module.ZstdDecompressor, module.ZstdError)


def _unpacked(body: bytes, limit: int, start: Callable[[], Any], damage: type[Exception]) -> bytes:
    """All members of a packed body, for there may be several; never more than `limit` bytes, however they claim to unpack."""
    pieces: list[bytes] = []
    room = limit
    while body:
        packed = start()
        try:
            piece: bytes = packed.decompress(body, max_length=room + 1)
        except damage as error:
            raise BadInput(f"the compressed body is damaged ({error})", "send it again") from None
        if len(piece) > room:
            raise TooLarge
        if not packed.eof:
            raise BadInput("the compressed body is cut off", "send it again")
        pieces.append(piece)
        room -= len(piece)
        body = packed.unused_data
    return b"".join(pieces)
