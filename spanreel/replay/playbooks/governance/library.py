"""LOUD: the playbooks of a store: bodies that never change, what was decided about them, and what became of their runs.

The only module that reads and writes them. All of it is spans (see `keeping`): a status is stored nowhere, it is
computed each time from the decisions, then from the evidence. A body is kept whole, whatever the capture level of the
runs that it was compiled from, since somebody asked for it; one that holds a credential is refused.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import BadInput, NotDecidable, Refused, UnknownPlaybook
from spanreel.location import resolve_store
from spanreel.replay.playbooks.governance import keeping, lifecycle
from spanreel.replay.playbooks.governance.credentials import refuse_credentials
from spanreel.replay.playbooks.governance.evidence import Evidence, evidence
from spanreel.replay.playbooks.governance.keeping import Kept
from spanreel.replay.playbooks.governance.lifecycle import Decision
from spanreel.replay.playbooks.governance.promotion import resolve
from spanreel.replay.playbooks.governance.shelf import Entry, chosen, one_active, rivals, told
from spanreel.wire import attributes as names
from spanreel.wire import playbooks
from spanreel.wire.spans import Resource, Scope, Span

if TYPE_CHECKING:
    import sqlite3

    from spanreel.collector.store import Reader
    from spanreel.replay.playbooks.body import Body


@dataclass(slots=True)
class _Group:
    """What the store has of one body."""

    kept: Kept
    decisions: list[tuple[Span, bool]] = field(default_factory=list[tuple[Span, bool]])


class Library:
    """The playbooks of a store.

    Args:
        store: default: the project's.
    """

    def __init__(self, store: str | os.PathLike[str] | None = None) -> None:
        self.path = resolve_store(store)
        self.problems: list[str] = []
        """What could not be read the last time, in words."""
        self._project: Mapping[str, Any] | None = None

    @property
    def project(self) -> Mapping[str, Any]:
        """`[tool.spanreel.promotion]` of the working directory's pyproject.toml.

        Raises:
            BadInput: it is not as it should be.
        """
        if self._project is None:
            from spanreel.replay.project import settings

            said = settings("promotion")
            resolve(said)
            self._project = said
        return self._project

    def entries(self, name: str | None = None) -> list[Entry]:
        """Every body, or those of one name: by name, then by version.

        Raises:
            StoreError: the store cannot be read.
            BadInput: the project's gates are not as they should be.
        """
        if not self._exists():
            return []
        with self._reader() as reader:
            found = self._entries(reader)
        return [one for one in found if name in (None, one.name)]

    def get(self, ref: str) -> Entry:
        """The body that a person means.

        Args:
            ref: NAME: the active body, else the one that needs repair, else the newest that is not out of use;
                NAME@active; NAME@3, a version; NAME@HASH or HASH, four digits or more of it.

        Raises:
            UnknownPlaybook: there is none, or several begin with these digits.
            StoreError: the store cannot be read.
        """
        return chosen(self.entries(), ref, str(self.path))

    def evidence(self, body_hash: str) -> Evidence:
        """What became of the executions of a body.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self._exists():
            return Evidence()
        with self._reader() as reader:
            return evidence(reader.executions()).get(body_hash, Evidence())

    def add(
        self,
        body: Body,
        *,
        origin: str | None = None,
        actor: Any = None,
        reason: str | None = None,
        report: Any = None,
        parent: str | None = None,
        history: Any = None,
    ) -> Entry:
        """Keep a body; durable when this returns. One that is there already stays as it is, with its version and status.

        Args:
            body: a candidate; with a parent, or an origin that is a repair, one that waits for a review.
            origin: default: what the body says, else handwritten.
            actor: who adds it: a name or an object.
            reason: in words.
            report: what the compiler said of it, as JSON.
            parent: hash of the body that it repairs.
            history: what its file told of where it came from, as JSON.

        Raises:
            BadInput: it asks for gates that there are not, or holds a credential.
            StoreError: the store cannot be written.
        """
        from spanreel.collector.store import open_writer
        from spanreel.collector.store.playbooks import decided_here

        body_hash = body.hash
        resolve(body=body.promotion)
        refuse_credentials(body)
        said = origin or body.origin or ("repair:human" if parent else "handwritten")
        known = self.entries(body.name)
        now = max([time.time_ns(), *(_after(one) for one in known)])
        span = keeping.body_span(
            body, body_hash, now, _maker(), origin=said, parent=parent, report=_clean(report), history=_clean(history),
            actor=_clean(actor), reason=_clean(reason),
        )  # fmt: skip
        if not any(one.hash == body_hash for one in known):
            with open_writer(self.path) as writer:
                writer.add([span], lambda connection: decided_here(connection, [span]))
        return next(one for one in self.entries(body.name) if one.hash == body_hash)

    def decide(
        self,
        entry: Entry,
        kind: str,
        *,
        to: str | None = None,
        reason: str | None = None,
        actor: Any = None,
        gates: Sequence[Any] | None = None,
        forced: bool = False,
        runs: Sequence[str] = (),
    ) -> Entry:
        """Decide about a body; durable when this returns, and refused if somebody else decided since it was read.

        What it replaces (a body of its name, or with its matchers) is retired in the same moment.

        Args:
            entry: as it was read.
            kind: an event of `lifecycle.TRANSITIONS`, or one of `lifecycle.REMARKS`.
            to: the status; needed where an event leads to several.
            reason: in words.
            actor: who decides: a name or an object.
            gates: figures of `promotion.judge`; a promotion to active has to have them.
            forced: the gates said no, and it happens all the same; needs a reason.
            runs: ids of the runs that it is about.

        Raises:
            NotDecidable: that cannot happen to a body of this status, or somebody else was first.
            Refused: a gate was not passed.
            StoreError: the store cannot be written.
        """
        from spanreel.collector.store import open_writer

        with self._reader() as reader:
            all_of_them = self._entries(reader)
            kept = {one.kept.hash: one.kept for one in self._groups(reader)}
        now = _same(all_of_them, entry)
        figures = tuple(one if isinstance(one, dict) else one.model_dump(mode="json") for one in gates or ())
        made = Decision(
            kind, actor=_clean(actor), reason=_clean(reason), gates=figures, forced=forced, runs=tuple(runs)
        )
        if kind in lifecycle.REMARKS:
            spans = [
                keeping.decision_span(kept[now.hash], secrets.token_hex(8), _moment(now), _maker(), made)
            ]
        else:
            row = lifecycle.transition(now.status, kind, to)
            if row.who == "gates":
                _passed(figures, forced, reason)
            made = replace(made, from_=now.status, to=row.after)
            after = f"review of {now.hash}" if kind == "review" else now.tip[1]
            spans = [keeping.decision_span(kept[now.hash], after, _moment(now), _maker(), made)]
            if row.after == "active":
                spans += _superseding(all_of_them, now, kept, spans[0])
        with open_writer(self.path) as writer:
            writer.add(spans, lambda connection: _made_here(connection, spans))
        return next(one for one in self.entries(now.name) if one.hash == now.hash)

    # --------------------------------------------------------------------------------------------

    def _exists(self) -> bool:
        from spanreel.location import spool_folder

        return self.path.exists() or spool_folder(self.path).exists()

    def _reader(self) -> Reader:
        from spanreel.collector.store import open_reader
        from spanreel.instrument import recorder

        recording = recorder.current()
        if recording is not None:
            recording.flush()
        return open_reader(self.path)

    def _groups(self, reader: Reader) -> list[_Group]:
        found: dict[str, _Group] = {}
        loose: list[tuple[Span, bool]] = []
        self.problems = []
        for span, here in reader.library():
            if names.PLAYBOOK_BODY not in span.attributes:
                loose.append((span, here))
                continue
            kept = keeping.kept_of(span, here)
            if isinstance(kept, str):
                self.problems.append(kept)
            else:
                found[kept.hash] = _Group(kept)
        for span, here in loose:
            group = found.get(str(span.attributes.get(names.PLAYBOOK_HASH)))
            if group is not None and span.trace_id == group.kept.span.trace_id:
                group.decisions.append((span, here))
        for group in found.values():
            group.decisions.sort(key=lambda one: (one[0].start_ns, one[0].span_id))
        return sorted(found.values(), key=lambda one: (one.kept.body.name, one.kept.span.start_ns))

    def _entries(self, reader: Reader) -> list[Entry]:
        groups = self._groups(reader)
        by_hash = evidence(reader.executions()) if groups else {}
        tips = _tips(groups)
        versions: dict[str, int] = {}
        found: list[Entry] = []
        promoted: dict[str, str] = {}
        for one in groups:
            name = one.kept.body.name
            versions[name] = versions.get(name, 0) + 1
            entry, at = self._entry(one, versions[name], by_hash.get(one.kept.hash, Evidence()))
            found.append(replace(entry, tip=tips[name]))
            if entry.status in lifecycle.LIVE:
                promoted[entry.hash] = at
        return one_active(found, promoted)

    def _entry(self, group: _Group, version: int, found: Evidence) -> tuple[Entry, str]:
        """An entry by itself, and when it was last promoted."""
        kept = group.kept
        decisions = [keeping.decision_of(span, here) for span, here in group.decisions]
        repair = kept.parent is not None or kept.origin.startswith("repair:")
        status, last = lifecycle.decided(decisions, repair=repair)
        why = "" if last is None else told(last)
        at = (last.at if last else None) or ""
        if (
            status == "active"
            and (out := lifecycle.demoted(found.after(at), self._demotion(kept))) is not None
        ):
            status, why = "needs_repair", out[1]
        added = keeping.decision_of(kept.span, kept.here)
        entry = Entry(
            body=kept.body, hash=kept.hash, name=kept.body.name, version=version, status=status, why=why,
            added_ns=kept.span.start_ns, origin=kept.origin, parent=kept.parent, report=kept.report,
            history=kept.history, decisions=(added, *decisions), evidence=found,
        )  # fmt: skip
        return entry, at

    def _demotion(self, kept: Kept) -> lifecycle.Demotion:
        try:
            return resolve(self.project, kept.body.promotion).demotion
        except BadInput as error:  # of a body that was not added here
            self.problems.append(f"playbook {kept.body.name}: {error.args[0]}")
            return resolve(self.project).demotion


def _tips(groups: Sequence[_Group]) -> dict[str, tuple[int, str]]:
    """Of each name: when its newest decision was made here, and the id that the next one follows.

    What came with spans from elsewhere moves no clock of ours, and takes no id that a decision here needs.
    """
    times: dict[str, int] = {}
    ids: dict[str, set[str]] = {}
    for one in groups:
        name = one.kept.body.name
        ids.setdefault(name, set()).update(span.span_id for span, _ in one.decisions)
        times[name] = max([times.get(name, 0), *(span.start_ns for span, here in one.decisions if here)])
    found: dict[str, tuple[int, str]] = {}
    for name, known in ids.items():
        at, trace = "first", playbooks.trace_of(name)
        while (follows := playbooks.decision_id(at, trace)) in known:
            at = follows
        found[name] = times[name], at
    return found


def _superseding(
    entries: Sequence[Entry], entry: Entry, kept: Mapping[str, Kept], promotion: Span
) -> list[Span]:
    found: list[Span] = []
    after = promotion.span_id
    for other in rivals(entries, entry):
        made = Decision(
            "superseded",
            from_=other.status,
            to="retired",
            reason=f"by {entry.ref} ({entry.short})",
        )
        follows = after if other.name == entry.name else other.tip[1]
        found.append(
            keeping.decision_span(
                kept[other.hash], follows, max(promotion.start_ns, other.tip[0]) + 1, _maker(), made
            )
        )
        after = found[-1].span_id if other.name == entry.name else after
    return found


def _same(entries: Sequence[Entry], entry: Entry) -> Entry:
    now = next((one for one in entries if one.hash == entry.hash), None)
    if now is None:
        raise UnknownPlaybook(f"{entry.ref} is not in this store", "spanreel playbook list")
    if now.status != entry.status:
        raise NotDecidable(
            f"{entry.ref} is {now.status} by now, not {entry.status}", f"spanreel playbook why {entry.ref}"
        )
    return now


def _passed(figures: Sequence[Mapping[str, Any]], forced: bool, reason: str | None) -> None:
    if forced:
        if not (reason or "").strip():
            raise Refused("a promotion that the gates refuse needs a reason", "give one with --reason")
        return
    missing = [str(one.get("text") or one.get("gate")) for one in figures if one.get("passed") is not True]
    if missing or not figures:
        raise Refused(
            "; ".join(missing) or "nothing was asked of its evidence",
            "spanreel playbook promote NAME says what is missing",
        )


def _made_here(connection: sqlite3.Connection, spans: Sequence[Span]) -> None:
    from spanreel.collector.store.playbooks import decided_here

    if not decided_here(connection, spans):
        name = spans[0].attributes.get(names.PLAYBOOK_NAME)
        if spans[0].attributes.get(names.DECISION) == "review":
            raise NotDecidable(
                f"this body of {name} was reviewed before; a review is final", f"spanreel playbook why {name}"
            )
        raise NotDecidable(
            f"somebody else has just decided about playbook {name}",
            f"look again: spanreel playbook why {name}",
        )


def _moment(entry: Entry) -> int:
    return max(time.time_ns(), _after(entry))


def _after(entry: Entry) -> int:
    return max(entry.tip[0], entry.added_ns if entry.decisions[0].here else 0) + 1


def _maker() -> tuple[Resource, Scope]:
    from spanreel import version

    return (
        Resource({names.SERVICE_NAME: "spanreel", names.PROCESS_PID: os.getpid()}),
        Scope(names.SCOPE, version.installed()),
    )


def _clean(value: Any) -> Any:
    from spanreel.wire.redaction import Redactor

    return None if value is None else Redactor().value(value)[0]
