"""The pytest plugin: tests of agents are recorded once and replayed from then on, offline.

`@pytest.mark.spanreel` or the fixture `spanreel_recording` does it. Importing this costs pytest nothing: all else is
imported when the first such test begins. A recording is judged when the test's own code has ended, so that it is the
test that fails, also where the agent swallowed what was raised.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from spanreel.replay.testing.options import Options
    from spanreel.replay.testing.playing import Playing

MARK = "spanreel"
_MODES = ("none", "once", "new", "all", "new_episodes")
_PLAYING = pytest.StashKey["Playing"]()


class UnusedRecording(pytest.PytestWarning):
    """A test passed, and some of its recorded calls were not made."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line's options and the ini file's."""
    group = parser.getgroup("spanreel", "recordings of agents (spanreel)")
    group.addoption(
        "--spanreel-record",
        choices=_MODES,
        default=None,
        help="none: replay only; once: record where there is no recording (default); new: replay, and add the calls that "
        "are not recorded; all: record everything anew. It wins over a test's own mark.",
    )
    group.addoption(
        "--spanreel-clock",
        choices=("now", "recorded"),
        default=None,
        help="recorded: time and uuid4 as they were when the test was recorded.",
    )
    parser.addini("spanreel_record", "default of --spanreel-record", default="once")
    parser.addini("spanreel_clock", "default of --spanreel-clock", default="now")


def pytest_configure(config: pytest.Config) -> None:
    """The mark."""
    config.addinivalue_line(
        "markers",
        "spanreel(path=None, **options): record this test's model and tool calls, or replay them (docs/testing.md)",
    )


@pytest.fixture(scope="session")
def spanreel_config() -> dict[str, Any]:
    """Options for every test of a module or session; define it anew to give some."""
    return {}


@pytest.fixture
def spanreel_recording(request: pytest.FixtureRequest, _spanreel: Playing | None) -> Playing:
    """The test's recording: `.path`, `.mode`, `.replay` (what ran), `.verdict` and `.execution` of a replay."""
    assert _spanreel is not None, f"{request.node.nodeid} has no recording"
    _spanreel.looked_at = True
    return _spanreel


@pytest.fixture(autouse=True)
def _spanreel(request: pytest.FixtureRequest) -> Generator[Playing | None]:
    """Begins before the fixtures that a test has for itself, so that their calls are the test's."""
    item = request.node
    if item.get_closest_marker(MARK) is None and "spanreel_recording" not in request.fixturenames:
        yield None
        return
    playing = _begun(item, request.getfixturevalue("spanreel_config"))
    item.stash[_PLAYING] = playing
    yield playing
    if item.stash.get(_PLAYING, None) is playing:  # it did not come to its own code
        del item.stash[_PLAYING]
        playing.abandon()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """The test's own code, and then the judgement of its recording."""
    playing = item.stash.get(_PLAYING, None)
    if playing is None:
        return (yield)
    try:
        with _in_context(item, playing):
            result = yield
    except BaseException as error:
        del item.stash[_PLAYING]
        if isinstance(error, (KeyboardInterrupt, pytest.exit.Exception, pytest.skip.Exception)):
            playing.abandon()
        else:
            _judge(item, playing, error)
        raise
    del item.stash[_PLAYING]
    told = getattr(item, "_excinfo", None)  # unittest keeps what a test raised
    if told and isinstance(told[-1].value, pytest.skip.Exception):
        playing.abandon()
    else:
        _judge(item, playing, told[-1].value if told else None)
    return result


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which files were written."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "spanreel"
    ]
    if told:
        terminalreporter.section("spanreel")
        for line in sorted(set(told)):
            terminalreporter.write_line(line)


def _begun(item: Any, config: Any) -> Playing:
    from spanreel.exceptions import SpanreelError
    from spanreel.replay.testing.options import mode
    from spanreel.replay.testing.places import Test
    from spanreel.replay.testing.playing import Playing

    try:
        options = _options(item, config)
        wanted = item.config.getoption("spanreel_record") or options.record or item.config.getini("spanreel_record")  # fmt: skip
        parameters = getattr(getattr(item, "callspec", None), "id", None)
        function = getattr(item, "originalname", None) or item.name
        cls = getattr(item, "cls", None)
        test = Test(
            node=item.nodeid,
            root=Path(item.config.rootpath),
            file=Path(item.path),
            module=item.module.__name__,
            group=f"{cls.__qualname__}.{function}" if cls is not None else function,
            parameters=parameters,
        )
        playing = Playing(test, options, mode(wanted))
        playing.begin()
    except SpanreelError as error:
        words = f"spanreel: {error.args[0]}\n  → {error.remedy}"
    else:
        return playing
    pytest.fail(words, pytrace=False)


def _options(item: Any, config: Any) -> Options:
    from spanreel.replay.testing.options import merged

    said = [dict(config), *(_of_mark(mark) for mark in reversed(list(item.iter_markers(MARK))))]
    asked = item.config.getoption("spanreel_clock")
    return merged(
        [{"clock": item.config.getini("spanreel_clock")}, *said, *([{"clock": asked}] if asked else [])]
    )


def _of_mark(mark: pytest.Mark) -> dict[str, Any]:
    return {**({"path": str(mark.args[0])} if mark.args else {}), **mark.kwargs}


@contextmanager
def _in_context(item: Any, playing: Playing) -> Generator[None]:
    """A coroutine runs in a context that its plugin chose, mostly an older one: the test's run goes along."""
    function = getattr(item, "obj", None)
    if playing.context is None or not inspect.iscoroutinefunction(function):
        yield
        return
    from opentelemetry import context as otel_context

    @functools.wraps(function)
    async def within(*args: Any, **kwargs: Any) -> Any:
        assert playing.context is not None
        token = otel_context.attach(playing.context)
        try:
            return await function(*args, **kwargs)
        finally:
            otel_context.detach(token)

    if getattr(item, "_testcase", None) is not None or _is_unittest(item):
        yield
        return
    item.obj = within
    try:
        yield
    finally:
        item.obj = function


def _is_unittest(item: Any) -> bool:
    import unittest

    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, unittest.TestCase)


def _judge(item: Any, playing: Playing, error: BaseException | None) -> None:
    """What the recording says of the test.

    Raises:
        Failed: the test left its recording, or what it did cannot be kept.
    """
    from spanreel.exceptions import SpanreelError

    try:
        playing.end(error)
    except SpanreelError as fault:
        _fail(item, f"spanreel: {fault.args[0]}\n  → {fault.remedy}", error)
    if playing.written:
        item.user_properties.append(("spanreel", f"recorded {_shown(item, playing.path)}"))
    elif playing.action == "record" and error is not None:
        note = f"not recorded, for the test failed: {_shown(item, playing.path)}"
        item.user_properties.append(("spanreel", note))
    verdict = playing.verdict
    if verdict is None:
        return
    said = _said(item, playing)
    if said:
        _fail(item, said, error)
    if verdict.unconsumed and error is None:
        left = ", ".join(f"step {one.step} ({one.title})" for one in verdict.unconsumed)
        words = f"{_shown(item, playing.path)}: recorded and not made by this test: {left}"
        if not playing.options.allow_unused:
            _fail(item, f"spanreel: {words}\n  → {_again(item, 'all')}", None)
        warnings.warn(UnusedRecording(words), stacklevel=1)


def _said(item: Any, playing: Playing) -> str | None:
    """Where the test left its recording, in words; None: it did not, or what is new is kept."""
    verdict = playing.verdict
    assert verdict is not None
    first = verdict.first_divergence
    where = _shown(item, playing.path)
    if first is not None and first.kind != "unconsumed" and playing.action == "replay":
        if playing.missing:
            called = f", called from {first.code_line}" if first.code_line else ""
            return f"spanreel: there is no recording {where}, and the test asks for {first.asked.title}{called}\n  → {_again(item, 'once')}"  # fmt: skip
        report = first.model_copy(update={"next": [_again(item, "new"), _again(item, "all")]})
        more = len(verdict.consequences)
        after = f"\n  and {more} more after it" if more else ""
        return f"spanreel: the test left its recording {where}\n{report.text()}{after}"
    if verdict.denied:
        denied = "\n".join(f"  {one}" for one in verdict.denied)
        return f"spanreel: the test did what its recording {where} does not cover\n{denied}\n  → {_again(item, 'all')}"
    return None


def _fail(item: Any, words: str, error: BaseException | None) -> NoReturn:
    """Fail the test with these words, and with the error that it ended by."""
    from spanreel.exceptions import Signal

    if error is not None and not isinstance(error, Signal):
        words += f"\nthe test itself ended with {type(error).__name__}: {error}"
    if getattr(item, "_excinfo", None):
        item._excinfo = None
    raise pytest.fail.Exception(words, pytrace=False) from None


def _again(item: Any, mode: str) -> str:
    return f'pytest --spanreel-record={mode} "{item.nodeid}"'


def _shown(item: Any, path: Path) -> str:
    """Relative to pytest's root, where it lies below it."""
    root = Path(item.config.rootpath)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
