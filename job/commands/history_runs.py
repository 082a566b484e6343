"""`history --runs`: the runs in the journals, what each moved, and what was rolled back since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.model import Command, Image, Item, TagName
from job.domain.records import dataclass, replace
from job.domain.repositories import Pages, change_link
from job.domain.selection import Wanted
from job.domain.times import iso
from job.imagestreams.api_types import image_of
from job.journal.records import Journal, Move, RunRecord
from job.journal.store import JournalStore
from job.run.context import IDENTITY_SECONDS, namespaces_of
from job.run.matching import unmatched
from job.run.session import place
from job.runtime.shutdown import Stop
from job.views.output import document, write


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag that a run moved.

    Attributes:
        name: of the tag.
        move: the digests before and after.
        images: before and after, as far as the journal knows them.
        rolled_back: whether a rollback has moved it away from that image since.
    """

    name: TagName
    move: Move
    images: tuple[Image | None, Image]
    rolled_back: bool

    @property
    def link(self) -> str | None:
        """The page of what changed: the two commits compared, else the new one."""
        return change_link(*self.images)


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run or other command, over the namespaces whose journals have it."""

    record: RunRecord
    namespaces: tuple[str, ...]
    moved: tuple[Moved, ...]


def history_runs(settings: Settings, stop: Stop, pages: Pages, *, as_table: bool, limit: int | None = None) -> int:
    """Show the `limit` newest runs, newest first; returns the exit status.

    Commits are linked to the repository that the image's labels name, else to the one that `pages` knows for its tag.
    """
    with place(settings, stop) as where:
        journals = {name: JournalStore(where.cluster, name).read() for name in namespaces_of(where)}
        identity = where.identify(IDENTITY_SECONDS) if as_table else None
    known = {name: journal for name, journal in journals.items() if journal is not None}
    if not known:
        raise UsageError([f"the journal of {', '.join(journals)} cannot be read"])
    wanted = Wanted(None, settings.wanted.patterns)
    names = {name for journal in known.values() for name in _names(journal)}
    if settings.wanted.patterns and (errors := unmatched(wanted, names, tuple(known))):
        raise UsageError(errors)
    runs = past_runs(known, wanted, pages)[:limit]
    if as_table:
        from job.commands.history_view import print_runs

        write(lambda: print_runs(runs, datetime.now(UTC), identity))
    else:
        document("Runs", {"runs": [_document(run) for run in runs]})
    return 0 if len(known) == len(journals) else 1


def _names(journal: Journal) -> set[tuple[str, str]]:
    """The tags that it knows, also those that are gone from the cluster."""
    return {*journal.tags, *((move.stream, move.tag) for run in journal.runs for move in run.moves)}


def past_runs(journals: Mapping[str, Journal], wanted: Wanted, pages: Pages) -> tuple[PastRun, ...]:
    """The runs of all journals, newest first, with the tags that were asked for."""
    by_id: dict[str, PastRun] = {}
    for namespace, journal in journals.items():
        for number, record in enumerate(journal.runs):
            later = journal.runs[:number]
            moved = tuple(
                _moved(namespace, journal, move, later, pages(move.stream, move.tag))
                for move in record.moves
                if wanted.includes(move.stream, move.tag)
            )
            earlier = by_id.get(record.id, PastRun(record, (), ()))
            by_id[record.id] = PastRun(earlier.record, (*earlier.namespaces, namespace), (*earlier.moved, *moved))
    # Without arguments the runs that moved nothing are shown, too.
    return tuple(run for _, run in sorted(by_id.items(), reverse=True) if run.moved or not wanted.patterns)


def _moved(namespace: str, journal: Journal, move: Move, later: Sequence[RunRecord], page: str | None) -> Moved:
    def image(digest: str) -> Image:
        known = image_of(Item(digest, None), journal.images.get(digest))
        return replace(known, repository_url=known.repository_url or page)

    rolled_back = any(
        (back.stream, back.tag, back.before) == (move.stream, move.tag, move.after)
        for run in later
        if run.command is Command.ROLLBACK
        for back in run.moves
    )
    name = TagName(namespace, move.stream, move.tag)
    return Moved(name, move, (image(move.before) if move.before else None, image(move.after)), rolled_back)


def _page(image: Image | None) -> str | None:
    """The page of the commit that an image was built from."""
    return change_link(None, image)


def _document(run: PastRun) -> dict[str, Any]:
    record = run.record
    return {
        "id": record.id,
        "command": record.command,
        "trigger": record.trigger,
        "job": record.job,
        "namespaces": list(run.namespaces),
        "deployment": record.deployment,
        "outcome": record.outcome,
        "started_at": iso(record.started_at),
        "finished_at": iso(record.finished_at),
        "moved": [
            {
                "namespace": moved.name.namespace,
                "tag": str(moved.name),
                "from": moved.move.before,
                "to": moved.move.after,
                "from_revision": moved.images[0].revision if moved.images[0] else None,
                "to_revision": moved.images[1].revision,
                "from_link": _page(moved.images[0]),
                "to_link": _page(moved.images[1]),
                "compare": moved.link,
                "rolled_back": moved.rolled_back,
            }
            for moved in run.moved
        ],
    }
