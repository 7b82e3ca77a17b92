"""What the messages of a run tell beyond its spans: what each request added, and tool calls that nobody tapped.

Quiet. It works on GenAI messages as JSON values and never decides what a step is or how it is numbered.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any, cast

from spanreel.replay.wording import common_start
from spanreel.wire.history import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanreel.wire.records import Content, Message, Part

RECENT = 8  # requests looked back at: enough for agents that talk in parallel, and each costs one comparison


@dataclass(frozen=True, slots=True)
class Addition:
    """A request as what it adds to an earlier one.

    Attributes:
        base: the position of the earlier request, None for a request that continues none.
        shared: how many messages of the earlier request come first.
        messages: the messages after those; None where none were captured.
    """

    base: int | None
    shared: int
    messages: list[Message] | None


def additions(contents: Sequence[Content]) -> Iterator[Addition]:
    """Each request as what it adds to the recent request that it continues best."""
    recent: deque[tuple[int, list[Message]]] = deque(maxlen=RECENT)
    numbers = _Numbers()
    for position, content in enumerate(contents):
        told = content.input
        if told is None:
            yield Addition(None, 0, None)
            continue
        base, shared = None, 0
        for candidate, earlier in reversed(recent):
            if len(earlier) <= shared or len(told) <= shared:
                continue  # it cannot have more in common than the best so far
            if not numbers.same(earlier[shared], told[shared]):
                continue
            length = numbers.alike(earlier, told)
            if length > shared:
                base, shared = candidate, length
        recent.append((position, told))
        yield Addition(base, shared, told[shared:])


def parts(messages: Iterable[Message] | None, kind: str) -> Iterator[Part]:
    """The parts of one type, in order."""
    for message in messages or ():
        found = message.get("parts")
        for part in found if isinstance(found, list) else ():
            if isinstance(part, dict) and part.get("type") == kind:
                yield part


def text(messages: Iterable[Message] | None) -> str | None:
    """What the messages say in words, or None when they say nothing."""
    said = [content for part in parts(messages, "text") if isinstance(content := part.get("content"), str)]
    return "".join(said) if said else None


def last_answer(messages: Sequence[Message] | None) -> list[Message]:
    """The messages after the last one that is not the assistant's."""
    answer: list[Message] = []
    for message in reversed(messages or ()):
        if message.get("role") not in ("assistant", None):
            break
        answer.append(message)
    return answer[::-1]


def asked(messages: Sequence[Message] | None) -> Any:
    """What the user asks here: the messages at the end that are the user's, else those before the first answer.

    Returns:
        Their text where it is one message of text, else the messages; None where there are none.
    """
    users = list(takewhile(_of_user, reversed(messages or ())))[::-1]
    if not users:
        said = dropwhile(lambda message: not _of_user(message), messages or ())
        users = list(takewhile(_of_user, said))
    if len(users) == 1:
        kinds = {part.get("type") for part in users[0].get("parts") or () if isinstance(part, dict)}
        words = text(users)
        return words if kinds == {"text"} and words is not None else users
    return users or None


def _of_user(message: Message) -> bool:
    return message.get("role") == "user"


def decoded(value: Any) -> Any:
    """The JSON value that a text holds when it holds an object or a list, else the value itself."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


@dataclass(slots=True)
class Request:
    """A tool call that a model asked for: by which of the model calls, and what came of it."""

    position: int
    call_id: str | None
    name: str
    arguments: Any
    answered: bool = False
    response: Any = None


@dataclass(slots=True)
class Tapped:
    """A tool call that has a span."""

    call_id: str | None
    name: str
    request: Request | None = None


@dataclass(slots=True)
class ToolTraffic:
    """The tool calls that the models of a run asked for.

    Attributes:
        untapped: answered, but without a span of their own.
    """

    requests: list[Request] = field(default_factory=list[Request])
    untapped: list[Request] = field(default_factory=list[Request])


def tool_traffic(
    contents: Sequence[Content], added: Sequence[Addition], tapped: Sequence[Tapped]
) -> ToolTraffic:
    """Pair what models asked for with the tool spans there are, by call id, else by name and order.

    Each `Tapped` is given its request; requests without one that a later request answers are `untapped`.
    """
    traffic = ToolTraffic(list(_requests(contents)))
    _answer(traffic.requests, added)
    by_id: defaultdict[str, deque[Request]] = defaultdict(deque)
    by_name: defaultdict[str, deque[Request]] = defaultdict(deque)
    tapped_ids = {tap.call_id for tap in tapped}
    for request in traffic.requests:
        if request.call_id is not None and request.call_id in tapped_ids:
            by_id[request.call_id].append(request)
        else:
            by_name[request.name].append(request)
    for tap in tapped:
        named = by_id[tap.call_id] if tap.call_id is not None and tap.call_id in by_id else by_name[tap.name]
        tap.request = named.popleft() if named else None
    seen = {id(tap.request) for tap in tapped if tap.request}
    traffic.untapped = [
        request for request in traffic.requests if request.answered and id(request) not in seen
    ]
    return traffic


def _requests(contents: Sequence[Content]) -> Iterator[Request]:
    for position, content in enumerate(contents):
        for part in parts(content.output, "tool_call"):
            name = part.get("name")
            yield Request(
                position,
                _identity(part),
                name if isinstance(name, str) else "",
                decoded(part.get("arguments")),
            )


def _answer(requests: Sequence[Request], added: Sequence[Addition]) -> None:
    """Give each request the first response that came after it."""
    waiting: dict[str, Request] = {}
    nameless: deque[Request] = deque()
    coming = deque(requests)
    for position, addition in enumerate(added):
        while coming and coming[0].position < position:
            request = coming.popleft()
            if request.call_id:
                waiting[request.call_id] = request
            else:
                nameless.append(request)
        for part in parts(addition.messages, "tool_call_response"):
            call_id = _identity(part)
            request = waiting.pop(call_id, None) if call_id else (nameless.popleft() if nameless else None)
            if request:
                request.answered = True
                request.response = part.get("response", part.get("result"))


def _identity(part: Part) -> str | None:
    identity = part.get("id")
    return identity if isinstance(identity, str) and identity else None


class _Numbers:
    """Numbers for messages: equal messages have the same one. It holds the messages, so that none takes another's place."""

    def __init__(self) -> None:
        self._by_text: dict[str, int] = {}
        self._by_identity: dict[int, int] = {}
        self._held: list[Message] = []

    def same(self, one: Message, other: Message) -> bool:
        """Whether the messages say the same."""
        if one is other:
            return True
        return one.get("role") == other.get("role") and self._number(one) == self._number(other)

    def alike(self, earlier: list[Message], messages: list[Message]) -> int:
        """How many messages the two lists begin with alike."""
        if not isinstance(messages, Told) or messages.base is not earlier:
            return common_start(self._of(earlier), self._of(messages))
        shared, most = messages.kept, min(len(earlier), len(messages))
        while shared < most and self.same(earlier[shared], messages[shared]):
            shared += 1
        return shared

    def _of(self, messages: list[Message]) -> list[int]:
        known = list(map(self._by_identity.get, map(id, messages)))
        start = known.index(None) if None in known else len(known)
        fresh = (self._number(message) for message in messages[start:])
        return [*cast("list[int]", known[:start]), *fresh]

    def _number(self, message: Message) -> int:
        number = self._by_identity.get(id(message))
        if number is None:
            text = json.dumps(message, sort_keys=True, default=repr)
            number = self._by_text.setdefault(text, len(self._by_text))
            self._by_identity[id(message)] = number
            self._held.append(message)
        return number
