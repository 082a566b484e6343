"""A run of the past, by the journals: what it moved, and those tags as they are now."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from job.cluster import IMAGE_STREAMS
from job.commands.command_run import CommandRun, begin
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Command, Result, TagName
from job.domain.records import dataclass
from job.domain.rules import Rules
from job.domain.selection import Wanted
from job.domain.text import clean
from job.imagestreams.api_types import stream_from
from job.journal.records import Journal, Move, RunRecord
from job.journal.store import JournalStore
from job.run.context import namespaces_of
from job.run.session import Place
from job.run.targets import SelectedTag

log = logging.getLogger(__name__)

LAST = "last"


@dataclass(frozen=True, slots=True)
class Past:
    """A run of the past, by the journals.

    Attributes:
        record: of the run, as one of its namespaces has it.
        moves: the tags that it moved and that were asked for.
        stores: the journals, by namespace.
        journals: what they hold.
    """

    record: RunRecord
    moves: tuple[tuple[TagName, Move], ...]
    stores: Mapping[str, JournalStore]
    journals: Mapping[str, Journal | None]


def past_run(where: Place, run_id: str) -> Past:
    """The run that was named, and what it moved of what was asked for.

    Raises:
        UsageError: no journal has it, or it moved nothing that was asked for.
    """
    stores = {name: JournalStore(where.cluster, name) for name in namespaces_of(where)}
    journals = {name: store.read() for name, store in stores.items()}
    unknown = [name for name, journal in journals.items() if journal is None]
    if unknown:
        raise UsageError([f"the journal of {', '.join(unknown)} cannot be read, so the run's tags are not known"])
    records = {
        name: [run for run in journal.runs if run.command is Command.RUN]
        for name, journal in journals.items()
        if journal
    }
    if run_id == LAST:
        deployment = where.settings.wanted.deployment
        moved = [run for runs in records.values() for run in runs if run.moves]
        run_id = max(
            (run.id for run in moved if deployment is None or run.deployment in (None, deployment)), default=""
        )
        if not run_id:
            of = f" of {deployment}" if deployment else ""
            raise UsageError([f"no run{of} that moved a tag is in the journal of {', '.join(stores)}"])
    matching = {name: run for name, runs in records.items() for run in runs if run.id == run_id}
    if not matching:
        raise UsageError([f"the journal of {', '.join(stores)} has no run {run_id}; see: import-images history --runs"])
    wanted = Wanted(None, where.settings.wanted.patterns)
    moves = tuple(
        (TagName(name, move.stream, move.tag), move)
        for name, run in matching.items()
        for move in run.moves
        if wanted.includes(move.stream, move.tag)
    )
    record = next(iter(matching.values()))
    lost = sum(run.counts.get(str(Result.UPDATED), 0) - len(run.moves) for run in matching.values())
    if lost > 0:
        log.warning("%d more tags of run %s are no longer in the journal: roll them back one by one", lost, record.id)
    if not moves:
        raise UsageError([f"run {run_id} moved no tag that was asked for, as far as the journal knows"])
    return Past(record, moves, stores, journals)


def selected_tags(where: Place, past: Past) -> dict[TagName, SelectedTag | str]:
    """Each tag of the run as it is now, or why it cannot be read."""
    keys = dict.fromkeys((name.namespace, name.stream) for name, _ in past.moves)
    streams = where.ask_all({key: functools.partial(where.cluster.get, IMAGE_STREAMS, *key) for key in keys})
    selected: dict[TagName, SelectedTag | str] = {}
    for name, _ in past.moves:
        data = streams[name.namespace, name.stream]
        if isinstance(data, ClusterError):
            if data.code != 404:
                raise data
            selected[name] = "its stream is gone"
            continue
        stream = stream_from(data)
        tag = stream.tag(name.tag)
        selected[name] = SelectedTag(name, tag, stream, data) if tag else "it is gone"
    return selected


def begin_again(
    where: Place, past: Past, names: Sequence[TagName], command: Command, rules: Mapping[str, Rules]
) -> CommandRun:
    """The command as a run of those tags, in the metrics group of the run of the past."""
    record = past.record
    return begin(where, names, command, record.deployment, record.shard, past.stores, past.journals, rules)


def document_of(past: Past, left_alone: Mapping[TagName, str]) -> dict[str, Any]:
    """What the documents of both commands say of the run."""
    tags = [{"namespace": name.namespace, "tag": str(name), "why": clean(why)} for name, why in left_alone.items()]
    return {"run_id": past.record.id, "left_alone": tags}
