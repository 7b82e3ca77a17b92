"""What a test's filters leave of a call: applied before a recording is written, and to what is asked of it later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from spanreel.replay.network import is_loopback
from spanreel.replay.testing import requests
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.testing.options import Change, Options
    from spanreel.replay.testing.requests import Request
    from spanreel.wire.spans import Span


def ignored(host: str, options: Options) -> bool:
    """Whether calls to a host go out, and are none of the recording's business."""
    return host.lower() in options.ignore_hosts or (options.ignore_localhost and is_loopback(host))


def filtered(request: Request, options: Options) -> Request | None:
    """The request as it is kept and compared; None: it is not kept at all."""
    headers = tuple(_pairs(request.headers, options.filter_headers, fold=True))
    uri, body = request.uri, request.body
    if options.filter_query_parameters:
        parts = urlsplit(uri)
        query = parse_qsl(parts.query, keep_blank_values=True)
        uri = urlunsplit(
            parts._replace(query=urlencode(list(_pairs(query, options.filter_query_parameters))))
        )
    if options.filter_post_data_parameters:
        body = _body(request, options.filter_post_data_parameters)
    kept = replace(request, uri=uri, headers=headers, body=body)
    return options.before_record_request(kept) if options.before_record_request else kept


def kept(spans: Iterable[Span], options: Options) -> Iterator[Span]:
    """Spans as they are written: without ignored calls, and without what the filters leave out of the others."""
    for span in spans:
        if names.WIRE_DIALECT not in span.attributes:
            yield span
            continue
        found = requests.recorded(span)
        if ignored(found.host, options):
            continue
        wanted = filtered(found, options)
        if wanted is None:
            continue
        changed = span if wanted == found else requests.with_request(span, wanted)
        answered = _answered(changed, options)
        if answered is not None:
            yield answered


def _answered(span: Span, options: Options) -> Span | None:
    came = requests.response(span)
    if not came.status:
        return span
    wanted = replace(came, headers=tuple(_pairs(came.headers, options.filter_headers, fold=True)))
    if options.before_record_response:
        chosen = options.before_record_response(wanted)
        if chosen is None:
            return None
        wanted = chosen
    return span if wanted == came else requests.with_response(span, wanted)


def _pairs(
    pairs: Iterable[tuple[str, str]], changes: Iterable[Change], *, fold: bool = False
) -> Iterator[tuple[str, str]]:
    wanted = {name.lower() if fold else name: instead for name, instead in changes}
    for name, value in pairs:
        key = name.lower() if fold else name
        if key not in wanted:
            yield name, value
        elif (instead := wanted[key]) is not None:
            yield name, instead


def _body(request: Request, changes: Iterable[Change]) -> bytes:
    """The body without some of its fields; a dot goes one level in, and into each item of a list."""
    value = request.json
    if not isinstance(value, (dict, list)):
        return request.body
    before = json.dumps(value)
    for name, instead in changes:
        _replace(value, name.split("."), instead)
    if json.dumps(value) == before:
        return request.body
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _replace(value: Any, path: list[str], instead: str | None) -> None:
    if isinstance(value, list):
        for item in value:
            _replace(item, path, instead)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) > 1:
            _replace(value[path[0]], path[1:], instead)
        elif instead is None:
            del value[path[0]]
        else:
            value[path[0]] = instead
