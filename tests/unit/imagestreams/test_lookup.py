"""What the registry has, asked through the server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from job.cluster import Resource
from job.domain.model import By, Image, Item, Reason
from job.imagestreams.lookup import Answer, Question, look_up, question_of_item
from tests.unit.scripted import NAMESPACE, STREAM, ScriptedCluster, api_error, failure, refuse, spec_tag, stream_json

DIGEST = "sha256:" + "a" * 64
IMAGE = Image(DIGEST, None, None, None, None)


class Cluster(ScriptedCluster):
    """A look-up is of no version of the stream."""

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        assert "resourceVersion" not in body["metadata"]
        metadata = {**body["metadata"], "resourceVersion": ""}
        return super().create(resource, namespace, {**body, "metadata": metadata}, timeout)


def ask(cluster: ScriptedCluster, *questions: Question, retries: int = 0) -> dict[Question, Answer]:
    return dict(
        look_up(
            cluster,
            questions,
            concurrency=4,
            retries=retries,
            timeout=5.0,
            deadline=time.monotonic() + 60,
            retried=lambda namespace, reason: None,
            stopping=lambda: False,
        )
    )


def question(source: str = "quay.io/packit/app:prod", **more: str) -> Question:
    return Question(NAMESPACE, STREAM, source, {}, **more)


def test_nothing_is_written_and_each_gets_its_answer() -> None:
    cluster = Cluster(stream_json(spec_tag("prod")))
    there, gone = question(), question("quay.io/packit/app:gone")
    cluster.registry = {there.source: DIGEST, gone.source: failure("NotFound", "no such image")}
    before = cluster.streams
    found = ask(cluster, there, gone, there)
    assert found.keys() == {there, gone}
    image = found[there].image
    assert image and image.digest == DIGEST
    assert (found[there].is_there, found[gone].is_there) == (True, False)
    assert all(request.body and request.body["spec"]["import"] is False for request in cluster.imports)
    assert cluster.streams == before


def test_a_question_about_a_tag_goes_by_its_name() -> None:
    """The server takes the architecture to choose from the annotations of the tag that `to` names."""
    cluster = Cluster(stream_json(spec_tag("prod")))
    ask(cluster, question(tag="prod"), question("quay.io/packit/app:other"))
    assert sorted(tag for request in cluster.imports for tag in request.tags) == ["prod", "q0"]


def of_streams(count: int, **more: str) -> list[Question]:
    """A question of each of so many streams, about as many repositories."""
    return [Question(NAMESPACE, f"{STREAM}-{n}", f"quay.io/packit/app-{n}:prod", {}, **more) for n in range(count)]


def cluster_of(questions: list[Question]) -> Cluster:
    """A registry with an image for each of the questions, and the streams that they are about."""
    cluster = Cluster(*(stream_json(spec_tag("prod"), name=each.stream) for each in questions))
    cluster.registry = {each.source: f"sha256:{n:064}" for n, each in enumerate(questions)}
    return cluster


def images_of(cluster: ScriptedCluster) -> list[int]:
    """How many images each request carried."""
    return [len(request.tags) for request in cluster.imports]


def test_several_streams_share_a_request() -> None:
    questions = of_streams(7)
    cluster = cluster_of(questions)
    cluster.registry[questions[4].source] = failure("NotFound", "no such image")
    found = ask(cluster, *questions)
    assert sorted(images_of(cluster)) == [1, 3, 3]
    assert all(len(set(request.tags)) == len(request.tags) for request in cluster.imports)
    assert [answer.image.digest if answer.image else answer.reason for answer in found.values()] == [
        Reason.NOT_FOUND if n == 4 else f"sha256:{n:064}" for n in range(7)
    ]


def test_a_tag_whose_annotations_may_choose_a_platform_goes_with_its_stream() -> None:
    questions = of_streams(3, tag="prod")
    cluster = cluster_of(questions)
    ask(cluster, *questions)
    assert images_of(cluster) == [1, 1, 1]


@pytest.mark.parametrize("code", [403, 422, 503, 504])
def test_where_a_shared_request_is_refused_each_gets_its_own_answer(code: int) -> None:
    questions = of_streams(3)
    cluster = cluster_of(questions)
    cluster.on_create.append(refuse(api_error(code)))
    found = ask(cluster, *questions)
    assert images_of(cluster) == [3, 1, 1, 1]
    assert [answer.image and answer.image.digest for answer in found.values()] == [f"sha256:{n:064}" for n in range(3)]


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (Answer(IMAGE), True),
        (Answer(None, Reason.NOT_FOUND, By.REGISTRY), False),
        (Answer(None, Reason.NOT_FOUND, By.API), None),
        (Answer(None, Reason.UNREACHABLE, By.REGISTRY), None),
        (Answer(None, Reason.ABORTED), None),
    ],
)
def test_only_the_registry_can_say_that_it_is_gone(answer: Answer, there: bool | None) -> None:
    assert answer.is_there is there


def test_an_api_that_refuses_tells_nothing_of_the_registry() -> None:
    cluster = Cluster(stream_json(spec_tag("prod")))
    cluster.on_create.append(refuse(api_error(404)))
    (answer,) = ask(cluster, question()).values()
    assert (answer.is_there, answer.by) == (None, By.API)


def test_an_image_of_a_history_is_asked_for_by_one_platform() -> None:
    step = Item(DIGEST, None, f"quay.io/packit/app@{DIGEST}")
    found = question_of_item(NAMESPACE, STREAM, step, {"insecure": True, "importMode": "Legacy", "scheduled": True})
    assert found and found.policy == {"importMode": "Legacy", "insecure": True}
    assert question_of_item(NAMESPACE, STREAM, Item(DIGEST, None, ""), None) is None
