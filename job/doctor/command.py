"""`doctor`: find what will go wrong, each with the command that mends it.

To the cluster nothing is written. The probe of a Pushgateway writes one group and removes it again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from job.config.settings import Settings
from job.doctor.access_reviews import Review, allowed
from job.doctor.checks import (
    Finding,
    Severity,
    clock,
    cronjob,
    gateway,
    image_triggers,
    in_order,
    not_checked,
    rbac,
    rollback_targets,
    tags,
)
from job.doctor.checks.templates import Names, Shape
from job.doctor.collect import (
    ChosenStream,
    ask_registries,
    choose_tags,
    know_tags,
    read_builds,
    read_more_shapes,
    read_shapes,
    read_streams,
    why_whole,
)
from job.domain.errors import ClusterError, StoppedError
from job.domain.holds import hold_of
from job.domain.model import Command, OnBadRollout, Reason, Skip, TagName
from job.domain.selection import aliases_of, wave_of
from job.domain.shell import command
from job.imagestreams.api_types import stream_from
from job.imagestreams.retag import current_user
from job.run.context import nothing_matches
from job.run.engine import start
from job.run.session import Place, place
from job.runtime.shutdown import Stop
from job.views.output import document, write
from job.workloads.cronjob import CronJob
from job.workloads.discovery import Survey
from job.workloads.image_triggers import Workload

log = logging.getLogger(__name__)

STAGES = 6


def doctor(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Show what will go wrong; returns the exit status."""
    with place(settings, stop) as where:
        found = _Examination(where)
        found.examine()
        if stop:
            raise StoppedError("stopped before everything was looked at")
    findings = in_order(found.findings)
    status = 1 if any(each.severity is not Severity.NOTE for each in findings) else 0
    if as_table:
        from job.doctor.table import print_findings

        write(lambda: print_findings(findings, found.looked_at, found.probed))
    else:
        content = {
            "namespaces": list(found.namespaces),
            "deployment": settings.wanted.deployment,
            "exit_status": status,
            "looked_at": found.looked_at,
            "gateway_probed": found.probed is not None and found.probed.pushed,
            "findings": [_document(each) for each in findings],
        }
        document("Doctor", content)
    return status


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "check": finding.check,
        "namespace": finding.namespace or None,
        "where": finding.where,
        "message": finding.message,
        "mend": list(finding.mend),
    }


@dataclass(slots=True)
class _Examination:
    """All that is looked at, one subject after another."""

    where: Place
    findings: list[Finding] = field(default_factory=list)
    namespaces: tuple[str, ...] = ()
    looked_at: dict[str, int] = field(default_factory=dict)
    probed: gateway.Probed | None = None
    me: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def examine(self) -> None:
        """Look at everything.

        Raises:
            UsageError: nothing matches.
            ClusterError: the API cannot be used at all.
        """
        where, settings = self.where, self.where.settings
        try:
            run = start(where, command=Command.DOCTOR, environment=os.environ)
        except ClusterError as error:
            if error.reason is not Reason.FORBIDDEN:
                raise
            self.findings.append(rbac.fleet(current_user(where.cluster), str(error)))
            return
        self.namespaces = run.namespaces
        streams, errors = read_streams(where, self.namespaces)
        self.findings += tags.unlisted(errors)
        chosen = choose_tags(where, streams)
        if not chosen and not errors:
            raise nothing_matches(self.namespaces, settings.wanted)
        self._progress(1)
        shapes, jobs = read_shapes(where, self.namespaces)
        jobs = [job for job in jobs if any(job.imports(name, settings.wanted.deployment) for name in self.namespaces)]
        self._jobs(jobs)
        self._progress(2)
        may_import = self._rights(chosen, jobs)
        self._progress(3)
        broken = self._tags(chosen, jobs, may_import)
        self._progress(4)
        self._workloads(streams, chosen, shapes, broken)
        self._progress(5)
        self._gateway(jobs)
        self.findings += clock.findings(where.cluster.clock_skew)
        self._progress(6)
        ours = {("CronJob", job.namespace, job.name) for job in jobs}
        self.looked_at = {
            "tags": sum(len(each.choices) for each in chosen),
            "workloads": sum(shape.key not in ours for shape in shapes),
            "cron_jobs": len(jobs),
        }

    def _progress(self, done: int) -> None:
        self.where.progress.show(done, STAGES, "subjects")

    def _jobs(self, jobs: Sequence[CronJob]) -> None:
        for job in jobs:
            self.findings += cronjob.findings(job, self.now)
        if not jobs:
            self.findings.append(cronjob.missing(self.namespaces[0], self.where.settings.wanted.deployment))

    def _rights(self, chosen: Sequence[ChosenStream], jobs: Sequence[CronJob]) -> set[str]:
        """Tell of rights that are missing; the namespaces in which this login may ask for images."""
        where, deployment = self.where, self.where.settings.wanted.deployment
        self.me = me = current_user(where.cluster)
        waves = {wave_of(each.stream, tag) for each in chosen for tag in each.those(None)}
        in_waves = "there are waves" if len(waves) > 1 else None
        ending = self._hold_that_ends(chosen)
        users = dict.fromkeys((me, *(job.user for job in jobs)))
        is_job = len(users) == 1 or any(job.user == me for job in jobs)
        uses: dict[tuple[str, str | None], rbac.Use] = {}
        for namespace in self.namespaces:
            for user in users:
                told = [each.settings for each in jobs if each.user == user and each.imports(namespace, deployment)]
                told += [where.settings] if user == me else []
                if told:
                    uses[namespace, user] = _use(user, is_job or user != me, told, in_waves, ending)
        asked = {
            (namespace, user): {
                right: Review(namespace, right, None if user == me else user)
                for _, right in rbac.wanted(user, namespace)
            }
            for namespace, user in uses
        }
        answers = allowed(where, [review for mine in asked.values() for review in mine.values()])
        for (namespace, user), use in uses.items():
            mine = {right: answers[review] for right, review in asked[namespace, user].items()}
            if user and user != me and all(answer is None for answer in mine.values()):
                self.findings.append(rbac.unasked(user, namespace))
            else:
                self.findings += rbac.missing(use, namespace, mine)
        return {name for name in self.namespaces if answers[Review(name, rbac.IMPORT)] is not False}

    @staticmethod
    def _hold_that_ends(chosen: Sequence[ChosenStream]) -> str | None:
        for each in chosen:
            for tag in each.those(Skip.HELD):
                hold = hold_of(tag)
                if hold and (hold.until or hold.until_newer):
                    return f"the hold of {each.stream.name}:{tag.name} is to end by itself"
        return None

    def _workloads(
        self,
        streams: dict[str, list[Any]],
        chosen: Sequence[ChosenStream],
        shapes: Sequence[Shape],
        broken: frozenset[TagName],
    ) -> None:
        where = self.where
        found = where.survey(self.namespaces)
        self._unsurveyed(found)
        asked = {each.name(choice.tag) for each in chosen for choice in each.choices}
        workloads = [each for each in found.workloads if self._is_meant(each, asked)]
        others = [each for each in workloads if each.namespace not in self.namespaces]
        forms = {shape.key: shape for shape in (*shapes, *read_more_shapes(where, others))}
        known = replace(know_tags(where, streams, workloads), broken=broken)
        names, every = Names(), Names()
        for each in chosen:
            names.add(each.data, [tag.name for tag in each.those(None, Skip.HELD, Skip.PINNED, Skip.NO_SOURCE)])
        for data in (data for mine in streams.values() for data in mine):
            every.add(data, [tag.name for tag in stream_from(data).tags])
        bare = image_triggers.without_trigger(shapes, found.workloads, names)
        bare_of = {each.shape.key: each for each in bare}
        pulls = []
        for workload in workloads:
            key = workload.resource.kind, workload.namespace, workload.name
            shape = forms.get(key)
            self.findings += image_triggers.of_workload(workload, shape, known, every, bare_of.get(key))
            pulls += [(workload, account, tag) for account, tag in image_triggers.pulls_wanted(workload, shape, known)]
        self._pulls(pulls)
        untriggered = image_triggers.untriggered(bare, known, every)
        self.findings += [finding for finding, _ in untriggered]
        refused = {error.namespace for error in found.errors}
        followed = {follows.tag for each in found.workloads for follows in each.follows}
        followed |= {tag for _, tag in untriggered}
        self._unfollowed([each for each in chosen if each.stream.namespace not in refused], followed, found.left_out)

    def _is_meant(self, workload: Workload, asked: set[TagName]) -> bool:
        """A slip of the pen in a trigger names no tag that was asked for, so all of the namespace's count."""
        if workload.namespace in self.namespaces and not self.where.settings.narrowed:
            return True
        wanted = self.where.settings.wanted
        return any(
            follows.tag in asked
            or (follows.tag.namespace in self.namespaces and wanted.includes(follows.tag.stream, follows.tag.tag))
            for follows in workload.follows
        )

    def _unsurveyed(self, found: Survey) -> None:
        for error in found.errors:
            told = f"triggers, and who follows a tag, are not looked at: {error.message}"
            mend = rbac.granted(self.me, error.namespace, rbac.Component.ROLLOUTS)
            severity = Severity.NOTE if error.reason is Reason.FORBIDDEN else Severity.WARNING
            self.findings.append(not_checked(error.namespace, "workloads", told, *mend, severity=severity))

    def _pulls(self, pulls: Sequence[tuple[Workload, str, TagName]]) -> None:
        reviews = [
            Review(tag.namespace, rbac.Right("image.openshift.io", "imagestreams/layers", "get", tag.stream), account)
            for _, account, tag in pulls
        ]
        answers = allowed(self.where, reviews)
        for (workload, account, tag), review in zip(pulls, reviews, strict=True):
            if finding := image_triggers.of_pull(workload, tag, account, answers[review]):
                self.findings.append(finding)

    def _unfollowed(self, chosen: Sequence[ChosenStream], followed: set[TagName], left_out: Sequence[str]) -> None:
        imported = {
            each.name(tag): [
                TagName(each.stream.namespace, each.stream.name, alias) for alias in aliases_of(each.stream, tag.name)
            ]
            for each in chosen
            for tag in each.those(None, Skip.HELD)
        }
        if image_triggers.unfollowed(imported, followed, left_out):
            built, hint = read_builds(self.where, self.namespaces)
            mends = {
                each.name(tag): tags.opt_out(each.data, each.name(tag))
                for each in chosen
                for tag in each.those(None, Skip.HELD)
            }
            self.findings += image_triggers.unfollowed(imported, followed | built, left_out, hint, mends)

    def _tags(
        self, chosen: Sequence[ChosenStream], jobs: Sequence[CronJob], may_import: set[str]
    ) -> frozenset[TagName]:
        """Tell of tags; those that cannot be imported."""
        deployment = self.where.settings.wanted.deployment
        for each in chosen:
            namespace = each.stream.namespace
            job = next((str(job) for job in jobs if job.imports(namespace, deployment)), None)
            mine = [choice.tag for choice in each.choices]
            self.findings += tags.of_spec(each.data, each.stream, mine, self.now, job)
        for namespace in self.namespaces:
            if namespace not in may_import:
                told = "what the registries have is not looked at, for want of create on imagestreamimports"
                mend = rbac.granted(self.me, namespace, rbac.Component.BASE)
                self.findings.append(not_checked(namespace, "images", told, *mend))
        may = [each for each in chosen if each.stream.namespace in may_import]
        answers = ask_registries(self.where, may)
        self.findings += [finding for each in answers.imports if (finding := tags.of_import(each))]
        self.findings += [finding for each in answers.horizons if (finding := rollback_targets.finding(each))]
        cut = {each.tag for each in answers.imports if each.is_cut}
        self.findings += [tags.of_mode(tag, why) for tag, why in why_whole(self.where, may, cut).items()]
        return frozenset(each.tag for each in answers.imports if each.policy.digest is None)

    def _gateway(self, jobs: Sequence[CronJob]) -> None:
        settings = self.where.settings.gateway
        job = next(iter(jobs), None)
        if settings is None:
            if job and job.settings.gateway:
                url = job.settings.gateway.url
                told = f"{job} pushes to {url}, which was not asked: name it by --pushgateway"
                mend = command("import-images", "doctor", *self._asked(), "--pushgateway", url)
                self.findings.append(not_checked("", "gateway", told, mend))
            else:
                self.findings += gateway.findings(None, job)
            return
        from job.doctor.gateway_probe import probe

        log.info("a probe is pushed to %s and removed again", settings.url)
        self.probed = probe(settings)
        self.findings += gateway.findings(self.probed, job, settings)

    def _asked(self) -> list[str]:
        """The flags that make another one look at the same, wherever it runs."""
        settings = self.where.settings
        labels, deployment = settings.namespace_selector, settings.wanted.deployment
        words = ["--namespace-selector", labels] if labels else ["-n", ",".join(self.namespaces)]
        return [*words, *(["--deployment", deployment] if deployment else [])]


def _use(
    user: str | None, is_job: bool, told: Sequence[Settings], in_waves: str | None, ending: str | None
) -> rbac.Use:
    """What a user makes use of, by the settings of its runs."""
    goes_back = (
        "ON_BAD_ROLLOUT is rollback" if any(each.on_bad_rollout is OnBadRollout.ROLLBACK for each in told) else None
    )
    watches = "WATCH_ROLLOUTS is set" if any(each.watch_rollouts for each in told) else None
    return rbac.Use(user, is_job, goes_back or watches or in_waves, goes_back or ending)
