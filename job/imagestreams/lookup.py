"""What the registry has, asked through the server, which has the pull secrets: `spec.import: false` writes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from job.cluster import Cluster
from job.domain.model import By, Image, Item, Reason, Source, Stream, Tag
from job.domain.records import dataclass, field
from job.domain.retries import RetryPolicy
from job.domain.selection import Choice
from job.imagestreams.descriptions import Describer
from job.imagestreams.import_context import ImportContext, Options
from job.imagestreams.importer import run_imports
from job.runtime.pool import Throttle

# The whole of an image, also where it is an index.
WHOLE: Mapping[str, Any] = {"importMode": "PreserveOriginal"}


@dataclass(frozen=True, slots=True)
class Question:
    """One image to look for, with the pull secrets of a stream's namespace.

    Attributes:
        namespace: of the stream.
        stream: its name.
        source: the image's pull spec.
        policy: the importPolicy to ask with.
        tag: the tag whose annotations choose one architecture of several; empty: none.
    """

    namespace: str
    stream: str
    source: str
    policy: Mapping[str, Any] = field(default_factory=dict, hash=False)
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The image that the registry has, or why there is none."""

    image: Image | None
    reason: Reason | None = None
    by: By | None = None
    message: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the registry says that it does not have it, rather than giving no answer."""
        return self.image is None and self.reason is Reason.NOT_FOUND and self.by is By.REGISTRY

    @property
    def is_there(self) -> bool | None:
        """Whether the registry has it; None where it does not say."""
        return False if self.is_gone else self.image is not None or None


def question_of_item(namespace: str, stream: str, item: Item, policy: Mapping[str, Any] | None) -> Question | None:
    """Whether the registry still has an image of a history; None where it is not known where it was pulled from."""
    if "@" not in item.pull_spec:
        return None
    insecure = {"insecure": True} if (policy or {}).get("insecure") is True else {}
    # One platform of an index shows that it is there; for all of them the server would fetch each, one after another.
    return Question(namespace, stream, item.pull_spec, {"importMode": "Legacy", **insecure})


def look_up(
    cluster: Cluster,
    questions: Sequence[Question],
    *,
    concurrency: int,
    retries: int,
    timeout: float,
    deadline: float,
    retried: Callable[[str, str], None],
    stopping: Callable[[], bool],
) -> Mapping[Question, Answer]:
    """Ask for images; the questions of one stream follow one another.

    Args:
        cluster: the cluster.
        questions: what to ask for.
        concurrency: how many streams at a time.
        retries: how often to retry temporary failures.
        timeout: seconds of one request.
        deadline: the monotonic time at which no further request is begun.
        retried: called with namespace and reason when something is tried again.
        stopping: whether the run is to stop.
    """
    by_stream: dict[tuple[str, str], list[Question]] = {}
    for question in dict.fromkeys(questions):
        by_stream.setdefault((question.namespace, question.stream), []).append(question)
    by_tag: dict[tuple[str, str, str], Question] = {}
    chosen = []
    for (namespace, name), of_stream in by_stream.items():
        tags = []
        # A name need not be a tag of the stream: a look-up leaves the stream alone. But it must be no other question's.
        real = {question.tag for question in of_stream}
        made_up = (known_as for number in itertools.count() if (known_as := f"q{number}") not in real)
        for question in of_stream:
            known_as = question.tag or next(made_up)
            source = Source("DockerImage", question.source)
            tag = Tag(known_as, source, False, question.policy, None, {}, None, chooses_platform=bool(question.tag))
            tags.append(tag)
            by_tag[namespace, name, tag.name] = question
        stream = Stream(namespace, name, "", {}, tuple(tags))
        chosen.append((stream, tuple(Choice(tag, None) for tag in tags)))
    context = ImportContext(
        cluster=cluster,
        options=Options(False, RetryPolicy(retries), timeout, deadline, chosen_here=False),
        describer=Describer(cluster, stopping),
        throttle=Throttle(concurrency),
        retried=retried,
        settled=lambda: None,
        grace=lambda: 0.0,
    )
    return {
        by_tag[result.namespace, result.stream, result.tag]: Answer(
            result.after, result.reason if isinstance(result.reason, Reason) else None, result.by, result.message
        )
        for result in run_imports(chosen, context, stopping)
    }
