"""One run at a time: a Lease in each namespace, for what the run imports there.

A run without DEPLOYMENT overlaps the runs of every deployment, and an unsharded run overlaps every shard. Each of them
has a Lease of its own, so a run reads all Leases before and after it takes its own. Whether a holder is alive is judged
by watching on one's own clock whether its `renewTime` changes, never by comparing clocks.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from job.cluster import LEASES, Cluster
from job.domain.durations import describe
from job.domain.errors import ClusterError
from job.domain.model import ANNOTATION_PREFIX, Reason, RetryClass
from job.domain.records import dataclass
from job.domain.scope import Scope, Shard
from job.domain.times import iso, parse_time
from job.runtime.clock import SYSTEM, Clock
from job.runtime.progress import SILENT, Progress

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
RENEW_SECONDS = LEASE_SECONDS / 4
# The holder has to consider its lock lost before another client may.
LOST_SECONDS = LEASE_SECONDS * 2 / 3
RELEASE_WAIT_SECONDS = 0.5
RENEW_TIMEOUT_SECONDS = 3.0
WATCH_SECONDS = 2.0
ROUNDS = 3
SELECTOR = "app.kubernetes.io/name=import-images"
SCOPE_ANNOTATION = f"{ANNOTATION_PREFIX}scope"


# Names that are written into that of the Lease as they are.
_PLAIN = r"[a-z0-9]([-a-z0-9]{0,100}[a-z0-9])?"


def lease_name(scope: Scope) -> str:
    """The name of the Lease. A name with other characters is simplified, and a hash keeps it unique."""
    name = scope.deployment or "all"
    if scope.deployment == "all" or "-shard-" in name or not re.fullmatch(_PLAIN, name):
        import hashlib

        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:60]}-{digest}".removeprefix("-")
    shard = f"-shard-{scope.shard.index}-of-{scope.shard.count}" if scope.shard else ""
    return f"import-images-{name}{shard}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds, or asks for, a lock: a name to show, and the Job whose retried pod may take over at once."""

    name: str
    job: str | None = None


class LockedError(Exception):
    """Another run that imports the same is alive."""


@dataclass(frozen=True, slots=True)
class _LeaseView:
    """A Lease as one read showed it."""

    name: str
    holder: str
    renewed: str
    acquired: str
    scope: Scope
    job: str | None

    @property
    def mark(self) -> _Mark:
        """Identity and last renewal: unchanged unless the holder renews."""
        return self.name, self.holder, self.renewed

    def __str__(self) -> str:
        """Who holds it, and since when by the holder's clock."""
        since = parse_time(self.acquired)
        if since is None:
            return self.holder
        passed = (datetime.now(UTC) - since).total_seconds()
        # The clocks of two machines may differ, so that only the time is certain.
        ago = f" ({describe(passed)} ago)" if passed >= 1 else ""
        return f"{self.holder} since {iso(since)}{ago}"


_Mark = tuple[str, str, str]


def _seen(data: Mapping[str, Any]) -> _LeaseView:
    metadata, spec = data.get("metadata") or {}, data.get("spec") or {}
    try:
        written = json.loads((metadata.get("annotations") or {}).get(SCOPE_ANNOTATION, ""))
        shard = Shard(int(written["shard"][0]), int(written["shard"][1])) if written.get("shard") else None
        scope, job = Scope(written.get("deployment"), shard), written.get("job")
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        # Another client overwrote it: taken to overlap everything.
        scope, job = Scope(), None
    return _LeaseView(
        name=str(metadata.get("name")),
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        acquired=str(spec.get("acquireTime") or ""),
        scope=scope,
        job=job,
    )


class Lock:
    """The lock of one run in one namespace."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        scope: Scope,
        holder: Holder,
        *,
        stopping: Callable[[], bool],
        clock: Clock = SYSTEM,
        progress: Progress = SILENT,
    ) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._scope = scope
        self._holder = holder
        self._stopping = stopping
        self._clock = clock
        self._progress = progress
        self._lease: Mapping[str, Any] | None = None
        self._renewed = 0.0
        # Whether another run has the very Lease that this one wants, whose label may have been lost.
        self._is_taken = False

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LockedError: a run that imports the same is alive, or was about to take the lock at the same moment.
            ClusterError: Leases cannot be read or written.
        """
        for number in range(ROUNDS):
            dead = self._wait_for_expiry(self._others())
            if not self._take(dead):
                continue
            # A run that took another Lease between our read and our write may not have seen ours.
            try:
                late = [lease for lease in self._others() if lease.mark not in dead]
            except ClusterError:
                self.release()
                raise
            if not late:
                return
            self.release()
            if number + 1 == ROUNDS or self._stopping():
                raise LockedError(f"locked by {late[0]}")
            self._clock.sleep(2 * self._clock.chance())
        raise LockedError("locked: others took the lock first")

    def _others(self) -> list[_LeaseView]:
        return [lease for lease in self._leases() if self._conflicts_with(lease)]

    def _leases(self) -> list[_LeaseView]:
        leases = [_seen(lease) for lease in self._cluster.list(LEASES, self.namespace, SELECTOR)]
        name = lease_name(self._scope)
        if self._is_taken and all(lease.name != name for lease in leases) and (own := self._own()):
            leases.append(_seen(own))
        return leases

    def _conflicts_with(self, lease: _LeaseView) -> bool:
        if lease.holder in ("", self._holder.name) or not lease.scope.overlaps(self._scope):
            return False
        # A pod of the same Job is retried only when the one before it has ended.
        return not (lease.job and lease.job == self._holder.job and lease.scope == self._scope)

    def _wait_for_expiry(self, others: Sequence[_LeaseView]) -> frozenset[_Mark]:
        """Watch the holders of overlapping locks until each is known to be dead; returns those.

        Raises:
            LockedError: one of them renewed or released its lock: it was alive.
        """
        if others:
            held = f"the lock in {self.namespace} is held by {others[0]}"
            log.info("%s: waiting up to %d s to see whether that run is still alive", held, LEASE_SECONDS)
            self._progress.begin(f"waiting for the lock in {self.namespace}", LEASE_SECONDS)
            self._progress.detail("held by", ", ".join(str(lease) for lease in others))
        until = self._clock.monotonic() + LEASE_SECONDS
        while others and self._clock.monotonic() < until:
            if self._stopping():
                raise LockedError(f"locked by {others[0]}; stopped while waiting for it")
            self._clock.sleep(WATCH_SECONDS)
            now = {lease.name: lease for lease in self._leases()}
            for lease in others:
                if lease.name in now and now[lease.name].mark != lease.mark:
                    raise LockedError(f"locked by {lease}")
            others = [lease for lease in others if lease.name in now]
        return frozenset(lease.mark for lease in others)

    def _take(self, dead: frozenset[_Mark]) -> bool:
        """Write our Lease; False when another run wrote it first."""
        now = _now()
        try:
            before = self._own()
            if before and self._conflicts_with(seen := _seen(before)) and seen.mark not in dead:
                self._is_taken = True
                return False
            spec = (before or {}).get("spec") or {}
            body = self._body(now, now, int(spec.get("leaseTransitions") or 0) + (1 if before else 0), before)
            if before:
                self._lease = self._cluster.replace(LEASES, self.namespace, body)
            else:
                self._lease = self._cluster.create(LEASES, self.namespace, body)
        except ClusterError as error:
            if error.reason is Reason.CONFLICT:
                return False
            raise
        self._renewed = self._clock.monotonic()
        return True

    def _own(self) -> Mapping[str, Any] | None:
        try:
            return self._cluster.get(LEASES, self.namespace, lease_name(self._scope))
        except ClusterError as error:
            if error.code == 404:
                return None
            raise

    def _body(
        self, acquired: str, renewed: str, transitions: int, before: Mapping[str, Any] | None, holder: str | None = None
    ) -> dict[str, Any]:
        shard = self._scope.shard
        scope = {
            "deployment": self._scope.deployment,
            "shard": [shard.index, shard.count] if shard else None,
            "job": self._holder.job,
        }
        metadata: dict[str, Any] = {
            "name": lease_name(self._scope),
            "namespace": self.namespace,
            "labels": {"app.kubernetes.io/name": "import-images"},
            "annotations": {SCOPE_ANNOTATION: json.dumps(scope)},
        }
        if before:
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._holder.name if holder is None else holder,
                "leaseDurationSeconds": int(LEASE_SECONDS),
                "acquireTime": acquired,
                "renewTime": renewed,
                "leaseTransitions": transitions,
            },
        }

    def _write(self, holder: str | None = None) -> None:
        if self._lease is None:
            return
        spec = self._lease["spec"]
        body = self._body(spec["acquireTime"], _now(), spec.get("leaseTransitions") or 0, self._lease, holder)
        self._lease = self._cluster.replace(LEASES, self.namespace, body, timeout=RENEW_TIMEOUT_SECONDS)

    @property
    def expired(self) -> bool:
        """Whether it was not renewed for so long that others may soon take it."""
        return self._clock.monotonic() - self._renewed >= LOST_SECONDS

    def renew(self) -> bool:
        """Renew the Lease; False once the lock is lost."""
        try:
            self._write()
        except ClusterError as error:
            if error.reason is Reason.CONFLICT:
                return self._still_ours()
            if error.code == 404:
                return False
            return not self.expired
        self._renewed = self._clock.monotonic()
        return True

    def _still_ours(self) -> bool:
        """After a conflict: our own write whose answer was lost, or that of another client."""
        try:
            lease = self._own()
        except ClusterError:
            return not self.expired
        if lease is None or _seen(lease).holder != self._holder.name:
            return False
        self._lease, self._renewed = lease, self._clock.monotonic()
        return True

    def release(self) -> None:
        """Release the lock, so that the next run need not wait for it to expire."""
        try:
            self._release()
        except ClusterError as error:
            log.info("the lock in %s was not released (%s); it expires by itself", self.namespace, error)
        self._lease = None

    def _release(self) -> None:
        try:
            self._write(holder="")
            return
        except ClusterError as error:
            if error.reason.retry_class is RetryClass.NEVER:
                raise
            if error.reason is not Reason.CONFLICT:
                self._clock.sleep(RELEASE_WAIT_SECONDS)
            # This or a renewal may have taken effect although its answer was lost.
            lease = self._own()
            holder = _seen(lease).holder if lease else None
            if holder == "":
                return
            if holder != self._holder.name:
                raise
            self._lease = lease
        self._write(holder="")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
