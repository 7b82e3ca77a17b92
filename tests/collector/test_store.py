"""The store: spans come back as they were sent, once, whatever order and however often they arrive."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanreel.collector.store import Added, Reader, Writer, open_reader, open_writer
from spanreel.exceptions import AmbiguousRun, StoreError, UnknownRun
from spanreel.wire import conventions, otlp
from spanreel.wire.spans import Event, Link, Resource, Scope, Span
from tests.collector.traffic import TRACE, conversation, history, span


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store under test is."""
    return tmp_path / "spans.db"


def keep(path: Path, *batches: list[Span]) -> Added:
    """Store batches, each in one transaction; what became of the last one."""
    added = Added()
    with open_writer(path) as writer:
        for batch in batches:
            added = writer.add(batch)
    return added


def read(path: Path, trace_id: str = TRACE) -> list[Span]:
    """The spans of a trace."""
    with open_reader(path) as reader:
        return reader.spans(trace_id)


def agent(number: int, trace: int, **fields: Any) -> Span:
    """The root of a run."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": f"agent{trace}",
        **fields.pop("attributes", {}),
    }
    start = 1_763_700_000_000_000_000 + trace * 10**9
    return span(
        number,
        f"{trace:032x}",
        name="invoke_agent",
        start_ns=start,
        end_ns=start + 10**6,
        attributes=attributes,
        **fields,
    )


# ------------------------------------------------------------------------------------------------ what comes back

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["$content", "$$", "$cut", "a\0b"]
)
long_texts = st.sampled_from(
    ["x" * 600, "é\u2028" * 400, "$" * 700, '{"$content":1}' * 60, "[" * 600, "\0" * 700]
)
leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts | long_texts
    | st.binary(max_size=8) | st.sampled_from([b"\xff" * 600, b"text" * 200])
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
styles = st.sampled_from([
    json.dumps,
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    lambda value: json.dumps(value, indent=2),
    lambda value: json.dumps(value, indent="\t", separators=(" ,", " : ")),
    lambda value: " " + json.dumps(value, sort_keys=True) + "\r\n",
    lambda value: json.dumps(value)[:-1],
    lambda value: json.dumps(value).replace(", {", ",  {", 1),
])  # fmt: skip
messages = st.lists(
    st.fixed_dictionaries({"role": texts, "content": texts | long_texts | st.integers() | st.none()}),
    max_size=6,
)
bodies = st.builds(
    lambda style, listed, extra, shape: style(listed if shape == 0 else {**extra, ("messages", "input", "tools")[shape - 1]: listed, "z": extra}),
    styles, messages | st.lists(st.integers(), max_size=30), st.dictionaries(texts, st.integers() | texts, max_size=2), st.integers(0, 3),
)  # fmt: skip
flattened = st.builds(
    "{}.{}.{}".format,
    st.sampled_from(["llm.input_messages", "a", "$p", ""]),
    st.integers(0, 12) | st.just("01"),
    texts,
)
keys = (
    texts
    | flattened
    | st.sampled_from(
        [
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "http.request.body.content",
            "gen_ai.tool.definitions",
        ]
    )
)
attributes = st.dictionaries(keys, values | bodies, max_size=5) | st.dictionaries(
    flattened, values, min_size=8, max_size=20
)
counts = st.integers(0, 2**32 - 1)
hexes = st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex)


@st.composite
def sent_spans(draw: st.DrawFn) -> list[Span]:
    """Spans of one trace with every field used."""
    found: list[Span] = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        made = span(
            number, name=draw(texts), kind=draw(st.integers(0, 5)), status=draw(st.integers(0, 2)), status_message=draw(texts),
            attributes=draw(attributes), parent_span_id=draw(st.none() | hexes), trace_state=draw(texts), flags=draw(counts),
            dropped_attributes=draw(counts), dropped_events=draw(counts), dropped_links=draw(counts),
            events=tuple(draw(st.lists(st.builds(Event, texts, st.integers(0, 2**63 - 1), attributes, counts), max_size=2))),
            links=tuple(draw(st.lists(st.builds(Link, st.just(TRACE), hexes, texts, attributes, counts, counts), max_size=1))),
            resource=draw(st.builds(Resource, st.dictionaries(texts, values, max_size=2), texts)),
            scope=draw(st.builds(Scope, texts, texts, st.dictionaries(texts, values, max_size=2), texts)),
        )  # fmt: skip
        made.attributes.pop("spanreel.open", None)  # type: ignore[attr-defined]
        found.append(made)
    return found


def exact(spans: list[Span]) -> list[str]:
    """A form in which 0, 0.0, False, text and bytes differ."""
    return [
        otlp.encode_line(replace(item, attributes=dict(sorted(item.attributes.items())))) for item in spans
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(sent=sent_spans())
def test_every_field_and_attribute_comes_back_exactly(
    sent: list[Span], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any span, in any JSON style, large or small, structured or text: restored to the same bytes, and its record too."""
    path = tmp_path_factory.mktemp("store") / "spans.db"
    keep(path, sent)
    with open_reader(path) as reader:
        assert exact(reader.spans(TRACE)) == exact(sent)
        _, records = reader.tail()
        assert records == [conventions.read(item) for item in sent]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.data(), style=styles)
def test_growing_edited_and_compacted_histories_come_back(
    data: st.DataObject, style: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is done to a history between two calls (grown, edited, cut, reordered), every body is restored."""
    path = tmp_path_factory.mktemp("store") / "spans.db"
    current = history(6)
    sent: list[Span] = []
    for number in range(1, 9):
        change = data.draw(st.sampled_from(["grow", "edit", "compact", "slide", "same", "number"]))
        fresh = {"role": "user", "content": f"{number} " * 30}
        if change == "grow":
            current = [*current, fresh, fresh | {"role": "assistant"}]
        elif change == "edit":
            index = data.draw(st.integers(0, max(0, len(current) - 1)))
            current = [fresh if i == index else item for i, item in enumerate(current)]
        elif change == "compact":
            current = [fresh, *current[-2:]]
        elif change == "slide":
            current = current[1:]
        elif change == "number":
            current = [*current, data.draw(st.integers(0, 200))]  # type: ignore[list-item]
        body = style({"model": "m", "messages": current, "n": number})
        sent.append(
            span(
                number,
                attributes={"gen_ai.input.messages": style(current), "http.request.body.content": body},
            )
        )
    half = data.draw(st.integers(0, 8))
    keep(path, sent[:half])
    keep(path, sent[half:])
    assert exact(read(path)) == exact(sent)


def test_a_conversation_costs_what_is_new_in_it(path: Path) -> None:
    """Twice as many turns cost twice the rows, not four times; each message is there once."""
    keep(path, conversation(100))
    with sqlite3.connect(path) as connection:
        [(contents, size)] = connection.execute("SELECT count(*), sum(length(data)) FROM content")
        [(nodes,)] = connection.execute("SELECT count(*) FROM node")
    connection.close()
    assert nodes == 199
    assert contents <= 199 + 2 + 100
    assert size < 2 * len(json.dumps(history(200)))


def test_a_flattened_history_costs_what_is_new_in_it(path: Path) -> None:
    """Messages as attributes (OpenInference, older Traceloop): each element once, and every attribute comes back."""
    sent: list[Span] = []
    for turn in range(1, 41):
        own = {
            f"llm.input_messages.{i}.message.{key}": value
            for i, item in enumerate(history(turn))
            for key, value in item.items()
        }
        sent.append(
            span(turn, attributes={"openinference.span.kind": "LLM", **own, "llm.token_count.prompt": turn})
        )
    keep(path, sent[:20], sent[20:])
    assert exact(read(path)) == exact(sent)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM content").fetchone() == (40,)
        [(size,)] = connection.execute("SELECT max(length(attributes)) FROM span WHERE id > 5")
    connection.close()
    assert size < 200
    with open_writer(path) as writer:
        writer.add([span(99, f"{2:032x}", attributes=sent[9].attributes)])
        writer.delete(TRACE)
    assert exact(read(path, f"{2:032x}")) == exact([span(99, f"{2:032x}", attributes=sent[9].attributes)])


# ------------------------------------------------------------------------------------------------ once


def test_a_second_delivery_changes_nothing(path: Path) -> None:
    """Idempotent by trace and span id: in the same batch, in another one, with other content."""
    assert keep(path, [span(1), span(1)]) == Added(new=1, known=1)
    assert keep(path, [span(1, name="other")]) == Added(known=1)
    assert read(path) == [span(1)]


@pytest.mark.parametrize("order", ["open first", "ended first", "same batch", "same batch, ended first"])
def test_ended_replaces_open_in_any_order(path: Path, order: str) -> None:
    """An open record gives way to the ended one, and never the other way round."""
    ended = span(1)
    begun = replace(
        ended, end_ns=0, attributes={**ended.attributes, "spanreel.open": True}, scope=Scope("spanreel")
    )
    ended = replace(ended, scope=Scope("spanreel"))
    batches = {
        "open first": [[begun], [ended], [begun]], "ended first": [[ended], [begun]], "same batch": [[begun, ended, begun]],
        "same batch, ended first": [[ended, begun]],
    }[order]  # fmt: skip
    keep(path, *batches)
    assert read(path) == [ended]


def test_two_writers_take_turns(path: Path) -> None:
    """Two connections that write alternately keep each other's rows right, though both remember ids."""
    sent = conversation(10)
    with open_writer(path) as one, open_writer(path) as two:
        for index, item in enumerate(sent):
            (one, two)[index % 2].add([item])
    assert exact(read(path)) == exact(sent)


def test_a_failed_transaction_stores_nothing_and_spoils_nothing(path: Path) -> None:
    """What fails after the spans were collected is rolled back whole; the writer goes on."""
    sent = conversation(4)

    def fail(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk full")

    with open_writer(path) as writer:
        writer.add(sent[:1])
        with pytest.raises(StoreError, match="disk full"):
            writer.add(sent[1:], fail)
        assert writer.add(sent[1:]) == Added(new=3)
    assert exact(read(path)) == exact(sent)


# ------------------------------------------------------------------------------------------------ request bases


def based(spans: list[Span], *, ends: bool = False) -> list[Span]:
    """The spans with each body as a prefix of the one before and a tail, or with its end before what is new."""
    found = [spans[0]]
    for before, item in pairwise(spans):
        old, new = (str(one.attributes["http.request.body.content"]).encode() for one in (before, item))
        size = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
        )
        while new[size : size + 1] and 0x80 <= new[size] < 0xC0:
            size -= 1
        end = 0
        while end < min(len(old), len(new)) - size and old[-1 - end] == new[-1 - end] < 0x80:
            end += 1
        given_base = {
            "spanreel.wire.request.base": f"{before.span_id}:{size}" + (f":{end}" if ends else ""),
            "http.request.body.content": new[size : len(new) - end if ends else None].decode(),
        }
        found.append(replace(item, attributes={**item.attributes, **given_base}))
    return found


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_request_bases_are_made_whole(path: Path, batch: int, ends: bool) -> None:
    """Bodies given as base and tail: whole in the store, also when the base came with an earlier process or trace."""
    sent = [replace(item, trace_id=f"{index // 4 + 1:032x}") for index, item in enumerate(conversation(10))]
    given_as = based(sent, ends=ends)
    for start in range(0, len(sent), batch):
        keep(path, given_as[start : start + batch])
    found = [item for trace in range(1, 4) for item in read(path, f"{trace:032x}")]
    assert exact(found) == exact(sent)


def test_a_base_behind_its_use_is_found_and_a_lost_one_is_marked(path: Path) -> None:
    """Order within a batch does not matter; a base that is nowhere leaves the tail, marked as incomplete."""
    first, second = based(conversation(2))
    keep(path, [second, first])
    assert exact(read(path)) == exact(conversation(2))
    other = path.with_name("other.db")
    keep(other, [second])
    [found] = read(other)
    assert found.attributes["spanreel.capture.incomplete"] == "request base not found"
    assert found.attributes["http.request.body.content"] == second.attributes["http.request.body.content"]


# ------------------------------------------------------------------------------------------------ runs


def test_runs_are_listed_and_found_by_name(path: Path) -> None:
    """Id, prefix, alias (newest wins), last, last~1, last:failed; nothing and several are told apart."""
    ids = ["a1" + "0" * 29 + "1", "a2" + "0" * 29 + "2", "b3" + "0" * 29 + "3"]
    runs = [replace(agent(1, number + 1), trace_id=trace) for number, trace in enumerate(ids)]
    runs[0] = replace(runs[0], status=2, status_message="boom")
    for index in (0, 1):
        runs[index] = replace(
            runs[index], attributes={**runs[index].attributes, "spanreel.run.id": "nightly"}
        )
    keep(path, runs)
    with open_reader(path) as reader:
        assert [run.run_id for run in reader.runs()] == ids[::-1]
        found = {
            name: reader.resolve(name).run_id
            for name in (ids[1], "a1", "B3", "nightly", "last", "last~2", "last:failed")
        }
        assert list(found.values()) == [ids[1], ids[0], ids[2], ids[1], ids[2], ids[0], ids[0]]
        with pytest.raises(AmbiguousRun, match="2 runs begin with a"):
            reader.resolve("a")
        for name in ("zzz", "last~3", "last:paused", "", "ffff"):
            with pytest.raises(UnknownRun):
                reader.resolve(name)
        with pytest.raises(UnknownRun):
            reader.run("c" * 32)


def test_a_run_from_the_list_is_the_run(path: Path) -> None:
    """What the list keeps ready equals what grouping makes; steps and records are read on demand."""
    keep(
        path,
        [
            agent(1, 1),
            *[
                replace(item, trace_id=f"{1:032x}", parent_span_id=f"{1:016x}")
                for item in conversation(3, first=5)
            ],
        ],
    )
    with open_reader(path) as reader:
        [listed] = reader.runs()
        whole = reader.run(listed.run_id)
        assert (len(listed.steps), len(listed.records)) == (3, 4) == (len(whole.steps), len(whole.records))
        assert (tuple(listed.steps), tuple(listed.records)) == (whole.steps, whole.records)
        assert replace(listed, steps=whole.steps, records=whole.records) == whole


def test_a_growing_run_is_seen_growing(path: Path) -> None:
    """Readers see every commit, before and after runs were kept."""
    with open_writer(path) as writer, open_reader(path) as reader:
        for number in range(1, 4):
            writer.add([agent(1, 1)] if number == 1 else [span(number, f"{1:032x}")])
            assert len(reader.runs()[0].records) == number
            position, records = reader.tail(number - 1)
            assert (position, [record.span_id for record in records]) == (number, [f"{number:016x}"])


def test_a_deleted_trace_leaves_nothing_behind_and_others_whole(path: Path) -> None:
    """Deleting sweeps what only that trace used; shared messages stay."""
    one, two = conversation(6, f"{1:032x}"), conversation(4, f"{2:032x}")
    structured = [{"role": "user", "content": "w" * 600, "n": number} for number in range(3)]
    two[0] = replace(two[0], attributes={**two[0].attributes, "gen_ai.output.messages": structured})
    keep(path, one, two)
    with open_writer(path) as writer:
        assert writer.delete(one[0].trace_id) == 6
        assert writer.add(one[:2]) == Added(new=2)
        assert writer.delete(one[0].trace_id) == 2
    assert exact(read(path, two[0].trace_id)) == exact(two)
    with open_writer(path) as writer:
        writer.delete(two[0].trace_id)
    with open_reader(path) as reader:
        found = reader.counts()
        assert (found.runs, found.spans, found.contents) == (0, 0, 0)
        with pytest.raises(UnknownRun, match="holds no run yet"):
            reader.resolve("last")


def test_one_of_several_runs_of_a_trace_is_deleted(path: Path) -> None:
    """With two outermost agents in a trace, deleting one leaves the other and its spans."""
    second = replace(agent(3, 1), start_ns=agent(1, 1).start_ns + 10**7, end_ns=agent(1, 1).end_ns + 10**8)
    call = span(2, f"{1:032x}", parent_span_id=f"{1:016x}")
    keep(path, [agent(1, 1), call, second])
    with open_reader(path) as reader:
        first = reader.resolve("last~1")
        assert first.run_id == f"{1:032x}:{1:016x}"
    with open_writer(path) as writer:
        assert writer.delete(first.run_id) == 2
    with open_reader(path) as reader:
        assert [run.root.span_id for run in reader.runs()] == [second.span_id]
    assert read(path, f"{1:032x}") == [second]


def test_the_views_read_well(path: Path) -> None:
    """runs, steps, spans and messages show ids in hex, times as ISO, messages as text."""
    keep(
        path,
        [
            agent(1, 1),
            span(2, f"{1:032x}", parent_span_id=f"{1:016x}", attributes=conversation(4)[3].attributes),
        ],
    )
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = {
            view: connection.execute(f"SELECT * FROM {view}").fetchall()
            for view in ("runs", "steps", "spans", "messages")
        }
    connection.close()
    assert dict(rows["runs"][0])["agent_name"] == "agent1"
    assert dict(rows["runs"][0])["started_at"] == "2025-11-21T04:40:01.000Z"
    assert [(row["number"], row["what"]) for row in rows["steps"]] == [(1, "gpt-5")]
    assert rows["spans"][0]["trace_id"] == f"{1:032x}"
    assert [row["role"] for row in rows["messages"] if row["what"] == "input"][:2] == ["user", "assistant"]


# ------------------------------------------------------------------------------------------------ what cannot be opened


def test_what_is_no_store_is_said_in_one_line(path: Path, tmp_path: Path) -> None:
    """Missing, empty, foreign, newer, a folder: each its own message, and the file is left as it was."""
    with pytest.raises(StoreError, match="there is no store at"):
        open_reader(path)
    path.touch()
    with open_reader(path) as reader:
        assert reader.runs() == []
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"not a database at all, " * 100)
    folder = tmp_path / "folder"
    folder.mkdir()
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE invoice(id)")
    connection.close()
    newer = tmp_path / "newer.db"
    keep(newer, [span()])
    with sqlite3.connect(newer) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES ('spanreel', 'm9999_later', '')"
        )
    connection.close()
    wanted = {
        junk: "is not a spanreel store",
        folder: "is a folder",
        foreign: "not a spanreel store",
        newer: "later spanreel",
    }
    for file, message in wanted.items():
        before = file.read_bytes() if file.is_file() else b""
        for opened in (open_reader, open_writer):
            with pytest.raises(StoreError, match=message) as refused:
                opened(file)
            assert refused.value.remedy
        assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_new_store_is_private(path: Path) -> None:
    """The file and SQLite's companions can be read by their owner only."""
    with open_writer(path) as writer:
        writer.add([span()])
        for file in path.parent.glob("spans.db*"):
            assert file.stat().st_mode & 0o777 == 0o600, file


def test_reader_and_writer_are_what_open_gives(path: Path) -> None:
    """open_writer and open_reader give context managers that let go of the file."""
    with open_writer(path) as writer:
        assert isinstance(writer, Writer)
    with open_reader(path) as reader:
        assert isinstance(reader, Reader)
    with pytest.raises(StoreError, match="cannot be read"):
        reader.runs()
