"""Whether the gates can judge: what PROVEN_IN has to read, and whom VERIFY asks.

The right to rehearse is a right like others: `job.doctor.checks.rbac`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from job.doctor.checks import Finding, not_checked
from job.doctor.checks.gateway import scope
from job.doctor.checks.rbac import account_name, granted_where_proven, listed, unasked
from job.doctor.facts import Facts
from job.doctor.rights import PROVEN, PROVEN_REVISIONS, PROVEN_SEVERAL, Right
from job.domain.gates import Policy, PolicyError, policy_of
from job.domain.model import Skip
from job.domain.records import dataclass
from job.domain.shell import command
from job.domain.states import Severity
from job.domain.verification import Query, Reading, describe_samples

_REFUSED = (401, 403)
_BAD_QUERY = (400, 422)


@dataclass(frozen=True, slots=True)
class ProvenUse:
    """A namespace in which an account has to read whether images are proven.

    Attributes:
        namespace: that PROVEN_IN names.
        user: the API's name of the account; None where it is not known.
        is_job: whether the account imports.
        lists: whether PROVEN_IN may mean several streams there.
    """

    namespace: str
    user: str | None
    is_job: bool
    lists: bool


def check(facts: Facts) -> list[Finding]:
    """Judge what the gates of this login and of the CronJobs need."""
    return [*_unreadable(facts), *_queries(facts)]


def proven_uses(facts: Facts) -> tuple[ProvenUse, ...]:
    """Which account has to read which namespace, by the settings and annotations of the chosen tags."""
    policies: dict[str | None, list[Policy]] = {facts.me: [facts.settings.gates]}
    for job in facts.cron_jobs:
        policies.setdefault(job.user, []).append(job.settings.gates)
    jobs = {job.user for job in facts.cron_jobs}
    lists: dict[tuple[str, str | None], bool] = {}
    for user, defaults in policies.items():
        for default in defaults:
            for namespace, several in _proofs(facts, default):
                lists[namespace, user] = lists.get((namespace, user), False) or several
    return tuple(
        ProvenUse(namespace, user, user in jobs or not jobs, several) for (namespace, user), several in lists.items()
    )


def _proofs(facts: Facts, default: Policy) -> Iterator[tuple[str, bool]]:
    """The namespaces in which the chosen tags have to prove themselves, and whether in several streams there."""
    for stream in facts.chosen:
        for tag in stream.those(None, Skip.HELD):
            try:
                policy = policy_of(default, stream.stream, tag)
            except PolicyError:
                # A check of its own reports what cannot be read.
                continue
            for proof in policy.proven_in:
                yield proof.namespace, proof.stream_for(stream.stream.name) is None


def _unreadable(facts: Facts) -> Iterator[Finding]:
    for use in proven_uses(facts):
        allowed = facts.proven_rights.get((use.namespace, use.user), {})
        if use.user and use.user != facts.me and all(allowed.get(right) is None for right in PROVEN):
            yield unasked(use.user, use.namespace)
        else:
            yield from missing(use, allowed)


def missing(use: ProvenUse, allowed: Mapping[Right, bool | None]) -> Iterator[Finding]:
    """What an account may not read of a namespace that PROVEN_IN names.

    Args:
        use: the account and the namespace.
        allowed: the API's answers; None where it gave none.
    """
    lacking = [right for right in PROVEN if allowed.get(right) is False and (use.lists or right != PROVEN_SEVERAL)]
    where = f"the rights of {account_name(use.user)}"
    if lacking:
        severity, why = Severity.ERROR, "nothing is proven there, and every new image is held back"
        if lacking == [PROVEN_REVISIONS]:
            severity, why = Severity.WARNING, "only the same image counts as proven, not another one of its revision"
        if not use.is_job:
            severity = Severity.NOTE
        message = f"PROVEN_IN names {use.namespace}: may not {listed(lacking)} there, so that {why}"
        fix = granted_where_proven(use.user, use.namespace)
        yield Finding(severity, "gate-cannot-read", use.namespace, where, message, fix)
    if any(allowed.get(right) is None for right in PROVEN):
        message = "the API did not say what is allowed"
        yield not_checked(use.namespace, where, message, severity=Severity.WARNING)


def _queries(facts: Facts) -> Iterator[Finding]:
    own = facts.settings.verification
    if own is not None:
        for query, reading in facts.queries:
            yield from judged(query, reading, own.url)
        return
    for job in facts.cron_jobs:
        if (theirs := job.settings.verification) is not None:
            message = f"{job} verifies by {theirs.url}, which was not asked: name it by --prometheus and --verify"
            queries = "; ".join(f"{query.name}: {query.expression}" for query in theirs.queries)
            words = [*scope(facts), "--prometheus", theirs.url, "--verify", queries]
            yield not_checked("", "the queries of VERIFY", message, command("import-images", "doctor", *words))


def judged(query: Query, reading: Reading, url: str) -> Iterator[Finding]:
    """What is wrong with one query, or with the Prometheus that was to answer it.

    Args:
        query: of VERIFY.
        reading: the answer of now.
        url: of the Prometheus.
    """
    address, mark, parameters = url.partition("?")
    whom, where = f"Prometheus {address}", f"query {query.name}"
    look = command(
        "curl", "-sG", f"{address}/api/v1/query{mark}{parameters}", "--data-urlencode", f"query={query.expression}"
    )
    problem = reading.problem or describe_samples(reading)
    if reading.status in _REFUSED:
        yield Finding(
            Severity.ERROR, "gate-prometheus-refuses", "", whom, f"it refuses queries: {problem}", inspect=(look,)
        )
    elif reading.status in _BAD_QUERY or (reading.status == 200 and reading.is_final):
        message = f"it cannot be answered, so that no rollout is ever verified: {problem}"
        yield Finding(Severity.ERROR, "gate-query-invalid", "", where, message, inspect=(look,))
    elif reading.status != 200:
        message = f"it cannot be asked, so that no rollout is verified: {problem}"
        yield Finding(Severity.ERROR, "gate-prometheus-unreachable", "", whom, message, inspect=(look,))
    elif reading.is_true is None:
        message = f"it is neither true nor false now ({problem}), so that rollouts would be unverified"
        yield Finding(Severity.WARNING, "gate-query-no-answer", "", where, message, inspect=(look,))
    elif reading.is_true is False:
        message = f"it is false now ({problem}), so that every rollout would be bad"
        yield Finding(Severity.WARNING, "gate-query-false", "", where, message, inspect=(look,))
