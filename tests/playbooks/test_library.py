"""The library keeps bodies as spans that are no run, finds what a name means, and lets one of two decisions win."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands import environment
from kept_playbooks import SECOND, body, execution, put

from spanreel.collector import files
from spanreel.collector.store import open_reader, open_writer
from spanreel.exceptions import BadInput, NotDecidable, Refused, StoreError, UnknownPlaybook
from spanreel.replay.playbooks.governance.evidence import Evidence
from spanreel.replay.playbooks.governance.library import Library
from spanreel.wire import attributes as names
from spanreel.wire import playbooks
from spanreel.wire.spans import Span

PASSED = [{"gate": "min_runs", "passed": True}]
AT = Path(__file__).parent / "recordings" / "store-m0001.db"


def test_the_same_body_is_one_version(store: Path) -> None:
    """Adding a body twice changes nothing; a changed one is the next version; what tells its origin makes no other."""
    library = Library(store)
    first = library.add(body(), actor="ann", report={"support": "3 of 3"})
    again = library.add(body(notes=["looked at twice"]), origin="merged_runs", actor="bob")
    other = library.add(body(tool="buy"), origin="recorded_run")
    assert (first.version, first.status, first.origin) == (1, "candidate", "handwritten")
    assert again == first
    assert (other.version, other.origin) == (2, "recorded_run")
    assert [one.ref for one in library.entries()] == ["exchange@1", "exchange@2"]
    assert first.report == {"support": "3 of 3"}
    assert first.decisions[0].kind == "added"
    assert first.decisions[0].actor == "ann"
    assert library.get("exchange@1").body == body()


def test_what_a_name_means(store: Path) -> None:
    """The active body, else the newest; by version, by digits of the hash; and each miss says what there is."""
    library = Library(store)
    with pytest.raises(UnknownPlaybook, match="no playbook"):
        library.get("exchange")
    first, second = library.add(body()), library.add(body(tool="buy"))
    library.add(body("refund"))
    assert library.get("exchange").hash == second.hash
    with pytest.raises(UnknownPlaybook, match="no body of playbook exchange is active"):
        library.get("exchange@active")
    library.decide(first, "promote", to="active", gates=PASSED)
    for ref in (
        "exchange",
        "exchange@active",
        "exchange@1",
        f"exchange@{first.short}",
        first.short,
        first.hash,
    ):
        assert library.get(ref).hash == first.hash, ref
    assert library.get("exchange@2").hash == second.hash
    for ref, said in (
        ("exchange@9", "no body 9; there are @1, @2"),
        ("exchange@ffffffff", "no body ffffffff"),
        ("return", "there is no playbook return"),
        ("", "there is no playbook"),
        ("@", "there is no playbook"),
    ):
        with pytest.raises(UnknownPlaybook, match=said) as failed:
            library.get(ref)
        assert failed.value.exit_code == 2
        assert failed.value.remedy


def test_a_library_is_no_run(store: Path) -> None:
    """Bodies and decisions are stored as spans and are in no run, no count of runs, and no list of them."""
    library = Library(store)
    kept = library.add(body())
    library.decide(kept, "promote", to="shadow")
    put(store, execution(1, body()))
    with open_reader(store) as reader:
        assert [run.agent_name for run in reader.runs()] == ["exchange"]
        assert reader.counts().runs == 1
        assert reader.counts().spans == 4
        assert reader.resolve("last").run_id.startswith("00000002")
        trace = playbooks.trace_of("exchange")
        assert {span.name for span in reader.spans(trace)} == {
            "playbook exchange",
            "playbook exchange: promote",
        }
        assert {record.kind for record in reader.tail()[1]} >= {"playbook", "workflow", "tool"}
    view = sqlite3.connect(store)
    assert view.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert view.execute("SELECT count(*) FROM spans WHERE kind = 'playbook'").fetchone() == (2,)
    view.close()


def test_a_run_in_the_trace_of_a_playbook(store: Path) -> None:
    """Whatever else is sent under that trace id is a run of its own, and deleting it leaves the playbook there."""
    library = Library(store)
    kept = library.add(body())
    stray = [replace(span, trace_id=playbooks.trace_of("exchange")) for span in execution(1, body("refund"))]
    put(store, stray)
    with open_reader(store) as reader:
        [run] = reader.runs()
        assert len(run.records) == 2
    with open_writer(store) as writer:
        assert writer.delete(run.run_id) == 2
    with open_reader(store) as reader:
        assert reader.runs() == []
    assert library.get("exchange").hash == kept.hash
    assert library.get("exchange").evidence == Evidence()


def test_deleted_executions_are_no_evidence(store: Path) -> None:
    """Evidence goes with its run, and a row that is used again is not taken for it."""
    library = Library(store)
    kept = library.add(body())
    put(store, execution(1, body()), execution(2, body(), ok=False))
    assert library.evidence(kept.hash).runs == 2
    with open_reader(store) as reader:
        ids = [run.run_id for run in reader.runs()]
    with open_writer(store) as writer:
        writer.delete(ids[0])
        writer.add(execution(7, body("refund")))
    assert [one.became for one in library.evidence(kept.hash).executions] == ["ok"]


def test_an_execution_that_goes_on_is_replaced_when_it_ends(store: Path) -> None:
    """An open root that ends, in one batch or in two, is one execution."""
    library = Library(store)
    kept = library.add(body())
    put(store, execution(1, body(), open=True))
    assert [one.became for one in library.evidence(kept.hash).executions] == ["unknown"]
    put(store, execution(1, body()))
    put(store, [*execution(2, body(), open=True), *execution(2, body(), ok=False)])
    assert [one.became for one in library.evidence(kept.hash).executions] == ["ok", "failed"]


def test_one_of_two_decisions_wins(store: Path) -> None:
    """Two who read the same state and decide: the second is refused, and nothing of it is stored."""
    one, other = Library(store), Library(store)
    entry = one.add(body(), origin="repair:rule", parent=body(tool="buy").hash)
    assert entry.status == "review"
    one.decide(entry, "review", to="shadow", actor="ann")
    with pytest.raises(NotDecidable, match="is shadow by now"):
        other.decide(entry, "review", to="rejected", actor="bob")
    reviewed = one.get("exchange")
    with pytest.raises(NotDecidable, match="review cannot happen to a body that is shadow"):
        other.decide(reviewed, "review", to="rejected")
    assert [made.kind for made in other.get("exchange").decisions] == ["added", "review"]


def test_of_two_at_the_same_moment_the_store_keeps_the_first(store: Path, tmp_path: Path) -> None:
    """Processes that have all read that nobody decided, and then write: one wins, the others are told and leave nothing."""
    library = Library(store)
    library.add(body(), origin="repair:rule", parent=body(tool="buy").hash)
    script = tmp_path / "decide.py"
    script.write_text(
        "import sys\n"
        "from spanreel.exceptions import NotDecidable\n"
        "from spanreel.replay.playbooks.governance.library import Library\n"
        "library = Library(sys.argv[1])\n"
        "entry = library.get('exchange')\n"
        "print('read', flush=True)\n"
        "try:\n"
        "    library.decide(entry, 'review', to=sys.argv[2])\n"
        "    print('won')\n"
        "except NotDecidable as error:\n"
        "    print('lost', error)\n"
    )
    held = sqlite3.connect(store, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    running = [
        subprocess.Popen(
            [sys.executable, script, store, to], stdout=subprocess.PIPE, text=True, env=environment(tmp_path)
        )
        for to in ("shadow", "rejected", "candidate")
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "read\n"
    time.sleep(1)  # they read again, and wait for the lock
    held.execute("ROLLBACK")
    held.close()
    said = [one.communicate(timeout=60)[0] for one in running]
    assert sum(text.startswith("won") for text in said) == 1, said
    assert len(library.get("exchange@1").decisions) == 2


def test_a_promotion_needs_its_gates(store: Path) -> None:
    """Without figures, with one that is not passed, or forced without a reason: refused, exit 5."""
    library = Library(store)
    entry = library.add(body())
    for gates in (None, [], [{"gate": "min_runs", "passed": False, "text": "min_runs asks for at least 3"}]):
        with pytest.raises(Refused) as failed:
            library.decide(entry, "promote", to="active", gates=gates)
        assert failed.value.exit_code == 5
    with pytest.raises(Refused, match="needs a reason"):
        library.decide(entry, "promote", to="active", forced=True, reason=" ")
    made = library.decide(
        entry, "promote", to="active", forced=True, reason="the demo is today", actor={"name": "ann"}
    )
    assert (made.status, made.why) == ("active", "promote by ann, forced: the demo is today")


def test_one_is_active_for_a_name_and_for_its_matchers(store: Path) -> None:
    """A promotion retires what it replaces, in its name and with equal matchers; playbooks without matchers share none."""
    library = Library(store)
    meant = {"matchers": {"agent": "retail", "goal": ["exchange"]}}
    one, two = library.add(body()), library.add(body(tool="buy"))
    three, four = library.add(body("swap", **meant)), library.add(body("trade", **meant))
    for entry in (one, three):
        library.decide(entry, "promote", to="active", gates=PASSED)
    assert [one.status for one in library.entries()] == ["active", "candidate", "active", "candidate"]
    library.decide(two, "promote", to="active", gates=PASSED)
    library.decide(four, "promote", to="active", gates=PASSED)
    assert [one.status for one in library.entries()] == ["retired", "active", "retired", "active"]
    last = library.get(three.hash).decisions[-1]
    assert (last.kind, last.from_, last.to) == ("superseded", "active", "retired")
    assert last.reason == f"by trade@1 ({four.short})"


def test_two_promoted_at_once_are_not_both_active(store: Path, tmp_path: Path) -> None:
    """Where two stores of one team meet, or two processes did not see each other: the later promotion stands."""
    library = Library(store)
    meant = {"matchers": {"goal": ["exchange"]}}
    entries = [library.add(body(name, **meant)) for name in ("swap", "trade")]
    copy = tmp_path / "copy.db"
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    library.decide(entries[0], "promote", to="active", gates=PASSED)
    Library(copy).decide(entries[1], "promote", to="active", gates=PASSED)
    with open_reader(copy) as reader:
        spans = [span for span, _ in reader.library()]
    from spanreel.collector.store.playbooks import decided_here

    with open_writer(store) as writer:
        writer.add(spans, lambda connection: decided_here(connection, spans))
    swap, trade = library.entries()
    assert (swap.status, trade.status) == ("retired", "active")
    assert swap.why == "superseded by trade@1"


def test_decisions_of_elsewhere_are_history(store: Path, tmp_path: Path) -> None:
    """Spans that come in from a file bring a body as a candidate, whatever they say was decided about it."""
    there = Library(tmp_path / "there.db")
    there.decide(there.add(body(), origin="merged_runs"), "promote", to="active", gates=PASSED)
    with open_reader(there.path) as reader:
        spans = [span for span, _ in reader.library()]
    file = tmp_path / "all.otlp.jsonl"
    files.write_jsonl(spans, file)
    with open_writer(store) as writer:
        for batch in files.read(file):
            writer.add(batch)
    entry = Library(store).get("exchange")
    assert (entry.status, entry.origin, entry.dispatchable) == ("candidate", "imported", False)
    assert [one.here for one in entry.decisions] == [False, False]
    promoted = Library(store).decide(entry, "promote", to="active", gates=PASSED)
    assert promoted.status == "active"


@pytest.mark.parametrize("at", [1, 4_000_000_000 * SECOND])
def test_decisions_of_elsewhere_neither_keep_anybody_from_deciding_nor_evidence_from_counting(
    store: Path, tmp_path: Path, at: int
) -> None:
    """Whatever time they claim: one is decided here all the same, and what fails afterwards takes it out of use."""
    there = Library(tmp_path / "there.db")
    entry = there.decide(there.add(body()), "promote", to="active", gates=PASSED)
    there.decide(entry, "disable", reason="no more")
    with open_reader(there.path) as reader:
        spans = [replace(span, start_ns=at, end_ns=at) for span, _ in reader.library()]
    put(store, spans)
    library = Library(store)
    promoted = library.decide(library.get("exchange"), "promote", to="active", gates=PASSED)
    assert promoted.status == "active"
    put(store, [*execution(0, body(), ok=False), *execution(1, body(), ok=False)])
    assert library.get("exchange").status == "needs_repair"
    assert library.decide(library.get("exchange"), "disable", reason="no").status == "disabled"


def test_a_repair_of_elsewhere_waits_for_its_review(store: Path, tmp_path: Path) -> None:
    """Spans that bring a repair, reviewed there or not, bring it into review here."""
    there = Library(tmp_path / "there.db")
    there.decide(
        there.add(body(), origin="repair:rule", parent=body(tool="buy").hash), "review", to="candidate"
    )
    with open_reader(there.path) as reader:
        spans = [span for span, _ in reader.library()]
    put(store, spans)
    assert Library(store).get("exchange").status == "review"


def test_a_body_that_is_not_what_it_says_is_left_out(store: Path) -> None:
    """A span whose body has another hash, or cannot be read, is no entry, and that is told."""
    library = Library(store)
    library.add(body("refund"))
    good = body()
    said = {
        names.PLAYBOOK_NAME: "exchange", names.PLAYBOOK_HASH: good.hash, names.DECISION: "added",
        names.PLAYBOOK_BODY: json.dumps(body(tool="drop_tables").document()),
    }  # fmt: skip
    trace = playbooks.trace_of("exchange")
    forged = Span(trace, playbooks.body_id(good.hash), "playbook", start_ns=5, end_ns=5, attributes=said)
    broken = replace(forged, span_id="ab" * 8, attributes={**said, names.PLAYBOOK_BODY: "{"})
    put(store, [replace(one, scope=replace(one.scope, name="spanreel")) for one in (forged, broken)])
    assert [one.name for one in library.entries()] == ["refund"]
    assert len(library.problems) == 2
    assert "is not what its hash" in library.problems[0]


def test_a_credential_is_refused(store: Path) -> None:
    """A body is kept whole, so one with a secret in it is refused by place; a binding of that name is none."""
    library = Library(store)
    bound = {"first": {"tool": "look", "args": {"api_key": "{{ params.key }}"}}}
    assert library.add(body("a", states=bound)).status == "candidate"
    secret = {"first": {"tool": "look", "args": {"key": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"}}}
    with pytest.raises(BadInput, match=r"credential at states\.first\.args\.key"):
        library.add(body("b", states=secret))
    made = library.decide(
        library.get("a"), "disable", reason="my key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    )
    assert "abcdefgh" not in made.why
    assert b"abcdefghijklmnopqrstuvwxyz" not in b"".join(
        file.read_bytes() for file in store.parent.glob("spans.db*")
    )


def test_a_store_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    """A store without the table gets it; where it cannot be written, a copy of it is read."""
    path = tmp_path / "old.db"
    path.write_bytes(AT.read_bytes())
    with open_reader(path) as reader:
        assert [run.agent_name for run in reader.runs()] == ["support"]
        assert not reader.overlay
    library = Library(path)
    assert library.entries() == []
    assert library.add(body()).version == 1
    folder = tmp_path / "fixed"
    folder.mkdir()
    (folder / "old.db").write_bytes(AT.read_bytes())
    script = (
        "import sys; from spanreel.collector.store import open_reader\n"
        "from spanreel.replay.playbooks.governance.library import Library\n"
        "with open_reader(__import__('pathlib').Path(sys.argv[1])) as reader:\n"
        "    print(reader.overlay, len(reader.runs()), Library(sys.argv[1]).entries())\n"
    )
    (folder / "old.db").chmod(0o400)
    folder.chmod(0o500)
    try:
        words = [sys.executable, "-c", script, str(folder / "old.db")]
        if os.geteuid() == 0:  # who may write everywhere, unless that is given up
            words = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *words]
        environ = environment(tmp_path)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environ)
    finally:
        folder.chmod(0o700)
    assert done.stdout == "True 1 []\n", done.stderr


def test_a_store_that_cannot_be_written_is_read(store: Path) -> None:
    """Reading needs no writing; deciding there is one clear line."""
    library = Library(store)
    entry = library.add(body())
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    held = sqlite3.connect(store, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        assert library.get("exchange") == entry
    finally:
        held.execute("ROLLBACK")
        held.close()
    (store.parent / "no.db").mkdir()
    with pytest.raises(StoreError):
        Library(store.parent / "no.db").add(body())
