"""`promote wait`: ask the cluster for the images of promoted commits until all have arrived."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.model import By, Reason, TagName
from job.domain.records import dataclass, field, replace
from job.domain.selection import skip_reason
from job.domain.states import Arrival
from job.domain.text import clean
from job.imagestreams.lookup import Answer, Question
from job.promote.arrivals import Judge
from job.promote.commits import SHORT_LENGTH
from job.promote.config import Repository
from job.promote.deployed import find_fed_tags
from job.promote.errors import GitError
from job.promote.forge import CheckState, ForgeError, forge_of
from job.promote.workspace import Workspace, rolling_of
from job.run.context import Context
from job.run.session import Place
from job.runtime.clock import SYSTEM

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0
# The API's own refusals, which do not pass by waiting; a stream that is not found may still be created.
_PERMANENT = frozenset(reason for reason in Reason if reason.is_lasting) - {Reason.NOT_FOUND}


class TimedOutError(ImportImagesError):
    """Some images did not arrive in time."""

    exit_status = 6


class BuildFailedError(ImportImagesError):
    """A check of a promoted commit failed, so its image will not be built."""

    exit_status = 1


@dataclass(slots=True)
class AwaitedImage:
    """An awaited image: the expected commit, and what the last check found.

    Attributes:
        repository: it is built from.
        name: of its tag.
        question: asks the registry, through the cluster.
        commit: the expected one.
        state: whether it has arrived.
        revision: label of the registry's image.
        problem: why the check found nothing.
        seconds: from the start of the wait to its arrival.
    """

    repository: Repository
    name: TagName
    question: Question
    commit: str = ""
    state: Arrival = Arrival.WAITING
    revision: str | None = None
    problem: str | None = None
    seconds: float | None = None

    def describe(self) -> str:
        """What the registry has instead, for a person."""
        image = self.revision[:SHORT_LENGTH] if self.revision else "an image without a revision label"
        return self.problem or f"the registry has {image}"

    def as_document(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "repository": self.repository.name,
            "namespace": self.name.namespace,
            "stream": self.name.stream,
            "tag": self.name.tag,
            "commit": self.commit,
            "state": str(self.state),
            "revision": self.revision,
            "message": self.problem,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }


def images_to_await(
    place: Context, repositories: Sequence[Repository], forges: Mapping[str, str]
) -> list[AwaitedImage]:
    """The images of repositories that a run would import; a warning names those that it would skip.

    Raises:
        UsageError: there is none, a stream does not exist, or checks cannot be read.
        ClusterError: the cluster cannot be read.
    """
    for repository in repositories:
        if repository.checks and forge_of(repository.page, forges, os.environ) is None:
            fix = "set web to its page, and its host in [forges] to github or gitlab"
            raise UsageError([f"checks: the API for {repository.name} is unknown; {fix}"])
    fed, _ = find_fed_tags(place, repositories, strict=True)
    images = []
    for fed_tag in fed:
        tag, name = fed_tag.selected.tag, fed_tag.selected.name
        skip = skip_reason(fed_tag.selected.stream, tag)
        if skip is not None or tag.source is None:
            log.warning("%s/%s: not waiting for it, since a run skips it (%s)", name.namespace, name, skip)
            continue
        # With the import policy of the tag, as a run asks: it decides how a multi-architecture image is read.
        question = Question(name.namespace, name.stream, tag.source.name, tag.import_policy or {}, tag.name)
        images.append(AwaitedImage(fed_tag.repository, name, question))
    if not images:
        raise UsageError(["streams: a run would skip all of these tags, so there is no image to wait for"])
    return images


@dataclass(slots=True)
class Waiter:
    """Waits for images.

    Attributes:
        workspace: has the clones that decide arrivals.
        place: the cluster.
        images: the awaited ones; their state is updated.
        commits: the expected commits, by repository name.
        timeout: of the whole wait, in seconds.
        interval: between two checks, in seconds.
    """

    workspace: Workspace
    place: Place
    images: Sequence[AwaitedImage]
    commits: Mapping[str, str]
    timeout: float
    interval: float
    _judges: dict[str, Judge] = field(default_factory=dict)
    _checks: dict[str, str] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def perform(self) -> None:
        """Wait until every image has arrived.

        Raises:
            TimedOutError: the timeout passed; the message names the missing images.
            ClusterError: the cluster refuses to check.
            StoppedError: the command was asked to stop.
        """
        for image in self.images:
            image.commit = self.commits[image.repository.name]
        # Nothing is drawn during a check, since git may ask for a login then.
        self.place.progress.pause()
        logged = float("-inf")
        while True:
            self._check()
            remaining = self._remaining()
            if not remaining:
                return
            self._check_builds(remaining)
            elapsed = time.monotonic() - self._started
            if elapsed >= self.timeout:
                raise TimedOutError(self._timeout_message(remaining, elapsed))
            if not self.place.progress.is_terminal and time.monotonic() - logged >= LOG_EVERY_SECONDS:
                logged = time.monotonic()
                total = len(self.images)
                log.info("waiting for %d of %d images: %s", len(remaining), total, _progress(remaining[:5]))
            self._pause(min(self.interval, self.timeout - elapsed), remaining)

    @property
    def is_over(self) -> bool:
        """Whether every image has arrived."""
        return not self._remaining()

    def _remaining(self) -> list[AwaitedImage]:
        return [image for image in self.images if image.state is Arrival.WAITING]

    def _check(self) -> None:
        """Ask once for the remaining images."""
        remaining = self._remaining()
        # The timeout bounds a check under way, too.
        seconds = max(self._started + self.timeout - time.monotonic(), 1.0)
        settings = self.place.settings
        bounded = replace(
            settings, deadline=min(settings.deadline, seconds), import_timeout=min(settings.import_timeout, seconds)
        )
        answers = replace(self.place, settings=bounded).look_up([image.question for image in remaining])
        if self.place.stop:
            raise StoppedError("stopped while waiting; nothing was imported")
        for image in remaining:
            before = image.problem
            self._update(image, answers.get(image.question))
            self._report(image, before)

    def _check_builds(self, remaining: Sequence[AwaitedImage]) -> None:
        """Check the builds of the remaining images, where the configuration says `checks = true`.

        Raises:
            BuildFailedError: a check failed, so the image will not arrive.
        """
        commits = {image.repository.name: (image.repository, image.commit) for image in remaining}
        for name, (repository, commit) in commits.items():
            forge = forge_of(repository.page, self.workspace.config.forges, os.environ)
            if not repository.checks or forge is None:
                continue
            before = self._checks.get(name)
            try:
                checks = forge.checks(commit)
            except ForgeError as error:
                self._checks[name] = f"its checks are unknown: {error}"
            else:
                self._checks[name] = checks.describe()
                if checks.state is CheckState.FAILED:
                    raise BuildFailedError(
                        f"{name}: the image of {commit[:SHORT_LENGTH]} will not arrive: {checks.describe()}"
                    )
            if self._checks[name] != before:
                log.info("%s: %s", name, self._checks[name])

    def _update(self, image: AwaitedImage, answer: Answer | None) -> None:
        if answer is None or answer.image is None:
            message = answer.message if answer else None
            if answer is not None and answer.by is By.API and answer.reason and answer.reason in _PERMANENT:
                problem = f"{image.name} in {image.name.namespace} cannot be checked: {message}"
                raise ClusterError(answer.reason, problem)
            image.problem = clean(f"{answer.reason if answer else 'no answer'}: {message or 'no reason given'}")
            return
        image.revision = answer.image.revision
        try:
            verdict = self._judge(image).verdict(image.revision)
        except GitError as error:
            image.problem = str(error)
            return
        image.state, image.problem = verdict.state, clean(verdict.problem) if verdict.problem else None
        if image.state is not Arrival.WAITING:
            image.seconds = time.monotonic() - self._started

    def _report(self, image: AwaitedImage, before: str | None) -> None:
        """Log an arrival, or a problem that is new."""
        if image.state is not Arrival.WAITING:
            later = f", which comes after {image.commit[:SHORT_LENGTH]}" if image.state is Arrival.LATER else ""
            log.info("%s has arrived: %s%s", image.name, (image.revision or "")[:SHORT_LENGTH], later)
        elif image.problem and image.problem != before:
            log.warning("%s: %s", image.name, image.problem)

    def _judge(self, image: AwaitedImage) -> Judge:
        repository = image.repository
        if repository.name not in self._judges:
            clone = self.workspace.clone(repository)
            self._judges[repository.name] = Judge(
                image.commit, repository.stable, rolling_of(clone, repository), clone, repository.later
            )
        return self._judges[repository.name]

    def _pause(self, seconds: float, remaining: Sequence[AwaitedImage]) -> None:
        """Show what is waited for until the next check."""
        progress = self.place.progress
        if progress.is_terminal:
            progress.begin("waiting", self.timeout, self._started)
            progress.show(len(self.images) - len(remaining), len(self.images), "images")
            for image in remaining:
                progress.detail(str(image.name), f"{image.describe()}, not yet {image.commit[:SHORT_LENGTH]}")
            for name, state in self._checks.items():
                progress.detail(name, state)
        SYSTEM.pause(seconds, self.place.stopping)
        progress.pause()
        if self.place.stop:
            raise StoppedError("stopped while waiting; nothing was imported")

    def _timeout_message(self, remaining: Sequence[AwaitedImage], elapsed: float) -> str:
        missing = "; ".join(
            f"{image.name} of {image.commit[:SHORT_LENGTH]}: {image.describe()}" for image in remaining[:10]
        )
        more = f" and {len(remaining) - 10} more" if len(remaining) > 10 else ""
        counts = f"after {int(elapsed)} s {len(remaining)} of {len(self.images)} images have not arrived"
        return f"{counts}: {missing}{more}; check the builds, then continue: import-images promote wait"


def _progress(remaining: Sequence[AwaitedImage]) -> str:
    return ", ".join(
        f"{image.name} ({(image.revision or '?')[:SHORT_LENGTH]}, not yet {image.commit[:SHORT_LENGTH]})"
        for image in remaining
    )


def rows(images: Sequence[AwaitedImage]) -> list[tuple[str, ...]]:
    """The images as the rows of a table, with a heading."""
    table: list[tuple[str, ...]] = [("TAG", "COMMIT", "IMAGE", "REVISION", "AFTER")]
    for image in images:
        after = "-" if image.seconds is None else f"{image.seconds:.0f}s"
        revision = clean(image.revision or "-")[:SHORT_LENGTH]
        table.append((str(image.name), image.commit[:SHORT_LENGTH], str(image.state), revision, after))
    return table
