"""The problems that messages were about, remembered in the journals of a run's namespaces.

A namespace whose rules or lock were refused has no journal entry of the run. Its problems are remembered in the journal
of another namespace, with its name before them; else every run would report them anew.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from job.domain.model import Reason
from job.domain.news import MOST_PROBLEMS
from job.domain.records import dataclass, replace
from job.journal.records import Journal
from job.journal.store import JournalStore
from job.publish.sink import Publication

# What a request to the journal would meet, too, after a while.
_NO_ANSWER = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.ABORTED})


@dataclass(frozen=True, slots=True)
class Notified:
    """The journals that can be used, by namespace, as they were before the run."""

    journals: Mapping[str, tuple[JournalStore, Journal]]

    def known(self, namespaces: Iterable[str]) -> dict[str, frozenset[str]]:
        """By namespace, the problems that people know of."""
        known: dict[str, set[str]] = {namespace: set() for namespace in namespaces}
        for namespace, (_, journal) in self.journals.items():
            for text in journal.notified:
                of, problem = _split(text)
                known.setdefault(of or namespace, set()).add(problem)
        return {namespace: frozenset(problems) for namespace, problems in known.items()}

    def remember(self, problems: Mapping[str, Iterable[str]]) -> None:
        """Record the problems of the run's namespaces; what is recorded of other ones stays."""
        elsewhere = {
            f"{namespace}: {problem}"
            for namespace in problems
            if namespace not in self.journals
            for problem in problems[namespace]
        }
        for namespace, (store, journal) in self.journals.items():
            others = {text for text in journal.notified if (of := _split(text)[0]) and of not in problems}
            # The first journal has what has none of its own.
            texts = {*problems.get(namespace, ()), *others, *elsewhere}
            elsewhere = set()
            if texts != set(journal.notified):
                store.update(functools.partial(_with, texts=tuple(sorted(texts)[:MOST_PROBLEMS])))


def notified_of(publication: Publication) -> Notified:
    """What the journals of a run's namespaces remember."""
    entries = publication.entries
    journals = {name: (entry.store, entry.before) for name, entry in entries.items() if entry.before is not None}
    if not entries and all(error.reason not in _NO_ANSWER for error in publication.report.errors):
        # The run was refused everywhere, which need not be so for the journal.
        namespace = publication.report.namespaces[0]
        store = JournalStore(publication.run.cluster, namespace)
        if (journal := store.read()) is not None:
            journals[namespace] = store, journal
    return Notified(journals)


def _split(text: str) -> tuple[str | None, str]:
    """The namespace that is written before a problem, and the problem."""
    namespace, colon, problem = text.partition(": ")
    # A problem of the journal's own namespace begins with a word of ours and a blank.
    return (namespace, problem) if colon and " " not in namespace else (None, text)


def _with(journal: Journal, texts: tuple[str, ...]) -> Journal:
    return replace(journal, notified=texts)
