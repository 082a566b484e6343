"""The gate MIN_AGE: images age from when they were built, else from when a run first saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from job.domain.gates import is_believable, judge_age
from job.domain.model import TagName, Verdict
from job.journal.records import Journal
from job.journal.store import JournalStore
from job.journal.waiting import first_seen
from job.run.gates import Candidate, Guard


def judge(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    """The verdicts; see `job.run.gates`."""
    run, now = guard.run, guard.run.now()
    journals = dict(guard.journals)
    undated = [candidate for candidate in candidates if not is_believable(candidate.image.created, now)]
    for namespace in {candidate.name.namespace for candidate in undated} - journals.keys():
        # A plan takes no part in the journal, but what runs have seen counts for it, too.
        journals[namespace] = JournalStore(run.cluster, namespace).read() or Journal()
    verdicts = {}
    for candidate in candidates:
        digest, created = candidate.image.digest, candidate.image.created
        journal = journals.get(candidate.name.namespace)
        seen = first_seen(journal.waiting, digest) if journal and not is_believable(created, now) else None
        verdicts[candidate.name] = judge_age(digest, created, seen or now, candidate.policy.min_age, now)
    return verdicts
