"""The facts that the checks judge, as immutable values. No I/O: `job.doctor.collect` reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from job.config.settings import Settings
from job.doctor.rights import IMPORT, Right
from job.doctor.templates import Available, KnownTags, Shape
from job.domain.errors import ClusterError
from job.domain.model import By, Reason, RunError, Skip, Stream, Tag, TagName
from job.domain.records import dataclass, field
from job.domain.rules import BlockRule, Rules
from job.domain.selection import Choice
from job.domain.verification import Query, Reading
from job.workloads.cronjob import CronJob
from job.workloads.image_triggers import Workload

Json = Mapping[str, Any]


class Part(StrEnum):
    """A part of the facts that is collected by itself, in this order; later parts may use earlier ones."""

    STREAMS = "image streams"
    CRON_JOBS = "CronJobs and workloads"
    RIGHTS = "rights"
    REGISTRIES = "registries"
    TRIGGERS = "triggers"
    BUILDS = "builds"
    RULES = "rules"
    GATES = "gates"
    GATEWAY = "Pushgateway"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class ChosenStream:
    """An image stream with the tags of it that were requested."""

    data: Json = field(repr=False)
    stream: Stream
    choices: tuple[Choice, ...]

    def name(self, tag: Tag) -> TagName:
        """The tag's name."""
        return TagName(self.stream.namespace, self.stream.name, tag.name)

    def those(self, *skips: Skip | None) -> list[Tag]:
        """The tags to be imported (None), or skipped for one of the reasons."""
        return [choice.tag for choice in self.choices if choice.skip in skips]


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """A registry's answer for a tag: a digest, or why there is none and who refused."""

    digest: str | None
    reason: Reason | None = None
    message: str | None = None
    by: By | None = None
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Import:
    """A tag that a run imports, as looked up with `spec.import: false`.

    Attributes:
        policy: with the tag's own importPolicy.
        whole: the same image with PreserveOriginal; None where that was not looked up.
    """

    tag: TagName
    source: str
    policy: RegistryAnswer
    whole: RegistryAnswer | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the registry has a multi-architecture image of which the tag takes one architecture.

        The two modes then give different digests: that of one manifest, and that of the index. They differ, too, where
        the index has one architecture and an attestation.
        """
        whole = self.whole
        if whole is None or whole.digest is None or len(whole.platforms) == 1:
            return False
        return self.policy.digest not in (None, whole.digest)


@dataclass(frozen=True, slots=True)
class EarlierImages:
    """The earlier images of a tag.

    Attributes:
        current: the pull spec of its current image, by digest; None where that is not known.
        earlier: how many earlier images its history has.
        there: how many of these the registry still has; None where it did not answer for each.
        is_imported: whether runs import the tag, so that it gets another image anyway.
        is_current_there: whether the registry still has the current image; None where that is not known.
        newest: the digest of the newest earlier image that the registry still has.
    """

    tag: TagName
    current: str | None
    earlier: int
    there: int | None
    is_imported: bool = True
    is_current_there: bool | None = None
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of probing a gateway.

    Attributes:
        address: the gateway's, without a login.
        aggregation: what GATEWAY says it is.
        problem: why it could not be reached, or refused the push.
        refused: whether it refused the login, or the lack of one.
        deletes: whether it deletes groups, as a Pushgateway does and an aggregation gateway does not.
        value: the value of a gauge of 1 after two pushes; None where it cannot be read.
        pushed: whether a group was pushed, as far as is known.
        leftover: the path of the group that could not be deleted again.
    """

    address: str
    aggregation: bool
    problem: str | None = None
    refused: bool = False
    deletes: bool | None = None
    value: float | None = None
    pushed: bool = False
    leftover: str | None = None

    @property
    def sums(self) -> bool | None:
        """Whether it sums pushed gauges; None where that is not known."""
        if self.deletes is False:
            return True
        return None if self.value is None else self.value != 1.0


@dataclass(frozen=True, slots=True)
class Pull:
    """An image of another namespace's tag that a workload's account must be able to pull.

    Attributes:
        account: the API's name of the account.
        allowed: whether it may pull; None where the API did not say.
    """

    workload: Workload
    tag: TagName
    account: str
    allowed: bool | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks judge. A part that was not collected is empty.

    Attributes:
        settings: what doctor was asked for.
        now: the time of the examination.
        me: the API's name of the login; None where it is not known.
        namespaces: those to examine.
        no_namespaces: why the namespaces of NAMESPACE_SELECTOR cannot be listed; None where they can.
        streams: the JSON of all image streams, by namespace.
        unlisted: the namespaces whose streams cannot be listed, and why.
        chosen: the streams with requested tags.
        cron_jobs: the CronJobs of this program that import the requested tags.
        shapes: the templates of the workloads in these namespaces, with triggers or without.
        rights: what each account may do, by namespace and account; None where the API did not say.
        imports: what the registries have for the requested tags.
        earlier_images: the earlier images of the requested tags.
        restorable: tags that are gone from their spec, and what their registry still has for them.
        whole: tags that take one architecture although something says they should take all, and what says so.
        workloads: those with image triggers, in any namespace that can be read.
        errors: the namespaces whose workloads cannot be listed, and why.
        unseen: other namespaces whose workloads cannot be listed.
        outside: the templates of workloads in other namespaces, as far as they may be read.
        known: which tags exist.
        pulls: who must be able to pull from other namespaces.
        built: the tags that start builds.
        builds_unseen: whether BuildConfigs could not be listed.
        probed: the result of probing the gateway; None where none is set.
        rules: those in force, by namespace.
        bad_rules: namespace and line of rules that cannot be read.
        unread_rules: namespaces whose rules the API refuses, and why.
        blocked: tags that have a blocked image, and the rule.
        proven_rights: what each account may do in each namespace that PROVEN_IN names, as `rights`.
        queries: those of VERIFY with the answers of now; a query that was not asked is missing.
        clock_skew: by how many seconds the server's clock is ahead of this one; None where that is not known.
    """

    settings: Settings
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    me: str | None = None
    namespaces: tuple[str, ...] = ()
    no_namespaces: str | None = None
    streams: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    unlisted: Mapping[str, ClusterError] = field(default_factory=dict)
    chosen: tuple[ChosenStream, ...] = ()
    cron_jobs: tuple[CronJob, ...] = ()
    shapes: tuple[Shape, ...] = ()
    rights: Mapping[tuple[str, str | None], Mapping[Right, bool | None]] = field(default_factory=dict)
    imports: tuple[Import, ...] = ()
    earlier_images: tuple[EarlierImages, ...] = ()
    restorable: Mapping[TagName, Available] = field(default_factory=dict)
    whole: Mapping[TagName, str] = field(default_factory=dict)
    workloads: tuple[Workload, ...] = ()
    errors: tuple[RunError, ...] = ()
    unseen: tuple[str, ...] = ()
    outside: tuple[Shape, ...] = ()
    known: KnownTags = field(default_factory=lambda: KnownTags({}))
    pulls: tuple[Pull, ...] = ()
    built: frozenset[TagName] = frozenset()
    builds_unseen: bool = False
    probed: Probed | None = None
    rules: Mapping[str, Rules] = field(default_factory=dict)
    bad_rules: tuple[tuple[str, str], ...] = ()
    unread_rules: tuple[tuple[str, str], ...] = ()
    blocked: tuple[tuple[TagName, BlockRule], ...] = ()
    proven_rights: Mapping[tuple[str, str | None], Mapping[Right, bool | None]] = field(default_factory=dict)
    queries: tuple[tuple[Query, Reading], ...] = ()
    clock_skew: float | None = None

    @property
    def deployment(self) -> str | None:
        """The deployment that was asked for; None: every tag."""
        return self.settings.wanted.deployment

    @property
    def may_import(self) -> frozenset[str]:
        """The namespaces in which this login may look images up."""
        from_login = {name: self.rights.get((name, self.me), {}) for name in self.namespaces}
        return frozenset(name for name, rights in from_login.items() if rights.get(IMPORT) is not False)

    @property
    def meant_workloads(self) -> tuple[Workload, ...]:
        """The workloads with triggers that concern what was asked for."""
        requested = {stream.name(choice.tag) for stream in self.chosen for choice in stream.choices}
        return tuple(workload for workload in self.workloads if self._is_meant(workload, requested))

    def _is_meant(self, workload: Workload, requested: Collection[TagName]) -> bool:
        # A mistyped trigger names no requested tag, so all workloads of the namespaces count.
        if workload.namespace in self.namespaces and not self.settings.narrowed:
            return True
        wanted = self.settings.wanted
        return any(
            follows.tag in requested
            or (follows.tag.namespace in self.namespaces and wanted.includes(follows.tag.stream, follows.tag.tag))
            for follows in workload.follows
        )
