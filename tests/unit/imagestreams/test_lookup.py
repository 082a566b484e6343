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


def test_an_image_of_a_history_is_asked_for_whole() -> None:
    step = Item(DIGEST, None, f"quay.io/packit/app@{DIGEST}")
    found = question_of_item(NAMESPACE, STREAM, step, {"insecure": True, "importMode": "Legacy", "scheduled": True})
    assert found and found.policy == {"importMode": "PreserveOriginal", "insecure": True}
    assert question_of_item(NAMESPACE, STREAM, Item(DIGEST, None, ""), None) is None
