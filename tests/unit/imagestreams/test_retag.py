"""Moving a tag back and letting it go, with somebody else who writes at the worst moment."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from job.cluster import IMAGE_STREAM_IMPORTS, IMAGE_STREAM_TAGS, Resource
from job.cluster.whoami import current_user
from job.domain.errors import ClusterError
from job.domain.holds import ANNOTATION, Terms, hold_of
from job.domain.model import Item, Reason, Tag, TagName
from job.imagestreams.retag import release_hold, remove_stale_hold, roll_back
from job.imagestreams.rewrite import MovedError, NoHoldError, NotThereError, UncertainError
from job.runtime.retry import Retrier, retrier
from tests.unit.objects import ManualClock
from tests.unit.scripted import (
    JSON,
    NAMESPACE,
    STREAM,
    ScriptedCluster,
    Usual,
    after,
    api_error,
    connection_lost,
    digest,
    docker,
    failure,
    refuse,
    spec_tag,
    stream_json,
)

NAME = TagName(NAMESPACE, STREAM, "prod")
TERMS = Terms(datetime(2026, 11, 24, 2, tzinfo=UTC), "jane", "crashes")
OLD = Item(digest("old"), None, "")
# Not in the history, so that it has to come from the registry.
OLDER = "sha256:" + "0" * 64
Hook = Callable[[], None]


class Cluster(ScriptedCluster):
    """A stream whose tags may be written; `before` and `after` are called around each write, once."""

    def __init__(self, **more: Any) -> None:
        tag = spec_tag("prod", **more)
        super().__init__(stream_json(tag, images={"prod": digest("old")}))
        self.push("prod", digest("bad"))
        self.before: list[Hook | ClusterError] = []
        self.after: list[Hook | ClusterError] = []
        self.written: list[JSON] = []

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        assert resource is IMAGE_STREAM_TAGS
        self._meet(self.before)
        stream = self.streams[namespace, STREAM]
        if body["metadata"]["resourceVersion"] != stream["metadata"]["resourceVersion"]:
            raise api_error(409)
        tag = {**copy.deepcopy(dict(body["tag"])), "annotations": dict(body["metadata"]["annotations"])}
        self.written.append(tag)
        self.change_tag(tag["name"], **tag)
        if tag["from"]["kind"] == "ImageStreamImage":
            self.push(tag["name"], str(tag["from"]["name"]).rpartition("@")[2])
        answer = {**body, "image": {"metadata": {"name": self.current}}}
        self._meet(self.after)
        return answer

    def fall_silent(self) -> None:
        """No read works from now on."""
        self.on_get.extend([refuse(api_error(503))] * 20)

    @staticmethod
    def _meet(hooks: list[Hook | ClusterError]) -> None:
        hook = hooks.pop(0) if hooks else None
        if isinstance(hook, ClusterError):
            raise hook
        if hook is not None:
            hook()

    @property
    def reference(self) -> JSON:
        (found,) = self.streams[NAMESPACE, STREAM]["spec"]["tags"]
        return dict(found)

    @property
    def current(self) -> str:
        return str(self.streams[NAMESPACE, STREAM]["status"]["tags"][0]["items"][0]["image"])

    def retag(self) -> None:
        """Somebody retags by hand, and the image comes in."""
        self.change_tag("prod", annotations={}, **{"from": docker("quay.io/else:prod")})
        self.push("prod", digest("else"))


def patient(retries: int = 2) -> Retrier:
    return retrier(retries, lambda: False, ManualClock().clock)


def back(cluster: Cluster, target: Item | str = OLD, retries: int = 2) -> Tag:
    return roll_back(
        cluster,
        NAME,
        target,
        TERMS,
        bad=digest("bad"),
        retrier=patient(retries),
        timeout=5.0,
    )


def held(tag: Tag) -> bool:
    return tag.name == "prod" and hold_of(tag) is not None


def meanwhile(change: Hook, usual: Usual) -> Mapping[str, Any]:
    change()
    return usual()


LOST = [connection_lost(), api_error(500), api_error(504)]


class TestPutBack:
    def test_one_write(self) -> None:
        cluster = Cluster()
        assert held(back(cluster))
        assert len(cluster.written) == 1
        assert cluster.current == OLD.digest

    @pytest.mark.parametrize("lost", LOST)
    def test_a_lost_answer_is_no_second_write(self, lost: ClusterError) -> None:
        cluster = Cluster()
        cluster.after = [lost]
        assert held(back(cluster))
        assert len(cluster.written) == 1

    @pytest.mark.parametrize("lost", LOST)
    def test_a_lost_request_is_sent_again(self, lost: ClusterError) -> None:
        cluster = Cluster(**{"from": {"kind": "ImageStreamImage", "name": f"{STREAM}@{OLD.digest}"}})
        cluster.before = [lost]
        assert held(back(cluster))
        assert len(cluster.written) == 1
        # Its source names the image already: written the same way, the server would see no change.
        assert cluster.reference["from"]["name"] == OLD.digest

    def test_a_lost_answer_of_the_last_try(self) -> None:
        cluster = Cluster()
        cluster.after = [connection_lost()]
        assert held(back(cluster, retries=0))

    @pytest.mark.parametrize("retries", [0, 4])
    def test_what_was_written_counts_where_it_cannot_be_read_afterwards(self, retries: int) -> None:
        cluster = Cluster()
        cluster.after = [cluster.fall_silent]
        tag = back(cluster, retries=retries)
        assert held(tag)
        assert tag.current and tag.current.digest == cluster.current == OLD.digest
        assert len(cluster.written) == 1

    @pytest.mark.parametrize("error", [api_error(403), api_error(422)])
    def test_a_refusal_is_told_and_not_tried_again(self, error: ClusterError) -> None:
        cluster = Cluster()
        before = cluster.reference
        cluster.before = [error]
        with pytest.raises(ClusterError) as told:
            back(cluster)
        assert ("rollback component" in str(told.value)) == (error.code == 403)
        assert (cluster.reference, cluster.written) == (before, [])

    def test_what_somebody_else_moved_stays(self) -> None:
        cluster = Cluster()
        cluster.before = [cluster.retag]
        with pytest.raises(MovedError, match="nothing was done"):
            back(cluster)
        assert cluster.current == digest("else")
        assert cluster.written == []

    def test_what_somebody_else_moved_right_afterwards_stays(self) -> None:
        cluster = Cluster()
        cluster.after = [cluster.retag]
        with pytest.raises(MovedError, match="by another client"):
            back(cluster)
        assert cluster.reference["from"] == docker("quay.io/else:prod")

    def test_a_change_of_the_policy_meanwhile_is_part_of_what_comes_back(self) -> None:
        cluster = Cluster()
        cluster.before = [lambda: cluster.change_tag("prod", importPolicy={"insecure": True})]
        assert held(back(cluster))
        original = json.loads(cluster.reference["annotations"][ANNOTATION])["original"]
        assert original["importPolicy"] == {"insecure": True}

    def test_a_tag_that_is_gone(self) -> None:
        cluster = Cluster()
        cluster.streams[NAMESPACE, STREAM]["spec"]["tags"] = []
        cluster.streams[NAMESPACE, STREAM]["status"]["tags"] = []
        with pytest.raises(NotThereError):
            back(cluster)


class TestFromTheRegistry:
    def test_it_is_imported(self) -> None:
        cluster = Cluster()
        cluster.registry[f"quay.io/packit/prod@{OLDER}"] = OLDER
        assert held(back(cluster, OLDER))
        assert cluster.current == OLDER
        assert cluster.reference["importPolicy"]["importMode"] == "PreserveOriginal"

    def test_the_platforms_own_import_may_be_quicker(self) -> None:
        cluster = Cluster()
        cluster.registry[f"quay.io/packit/prod@{OLDER}"] = OLDER
        cluster.on_create.append(lambda usual: meanwhile(lambda: cluster.push("prod", OLDER), usual))
        assert held(back(cluster, OLDER))

    def test_whether_it_came_in_may_stay_unknown(self) -> None:
        cluster = Cluster()
        cluster.on_create.append(refuse(api_error(422)))
        cluster.after = [lambda: cluster.on_get.extend([None, *[refuse(api_error(503))] * 20])]
        with pytest.raises(UncertainError, match="whether that was imported is not known") as told:
            back(cluster, OLDER)
        assert told.value.exit_status == 1

    def test_one_that_does_not_come_in_leaves_all_as_it_was(self) -> None:
        cluster = Cluster()
        before = cluster.reference
        cluster.registry[f"quay.io/packit/prod@{OLDER}"] = failure("NotFound", "no such image")
        with pytest.raises(NotThereError, match="was restored to what it was before"):
            back(cluster, OLDER)
        assert {**cluster.reference, "annotations": None} == before

    def test_one_that_does_not_come_in_leaves_what_somebody_else_did_meanwhile(self) -> None:
        cluster = Cluster()
        cluster.registry[f"quay.io/packit/prod@{OLDER}"] = failure("NotFound", "no such image")
        cluster.on_create.append(after(cluster.retag))
        with pytest.raises(MovedError, match="by another client"):
            back(cluster, OLDER)
        assert cluster.reference["from"] == docker("quay.io/else:prod")
        assert cluster.current == digest("else")

    def test_what_was_changed_just_before_the_write_is_what_comes_back(self) -> None:
        cluster = Cluster()
        cluster.registry[f"quay.io/packit/prod@{OLDER}"] = failure("NotFound", "no such image")
        cluster.before = [lambda: cluster.change_tag("prod", importPolicy={"insecure": True})]
        with pytest.raises(NotThereError):
            back(cluster, OLDER)
        assert cluster.reference["importPolicy"] == {"insecure": True}

    def test_a_tag_that_follows_no_registry(self) -> None:
        cluster = Cluster(**{"from": {"kind": "ImageStreamImage", "name": f"{STREAM}@{digest('bad')}"}})
        with pytest.raises(NotThereError, match="does not come from a registry"):
            back(cluster, OLDER)
        assert not [each for each in cluster.requests if each.resource is IMAGE_STREAM_IMPORTS]


class TestLetGo:
    def test_what_came_in_meanwhile_counts_as_new(self) -> None:
        cluster = Cluster()
        back(cluster)
        cluster.after = [lambda: cluster.push("prod", digest("newest"))]
        stream = release_hold(cluster, NAME, retrier=patient(2))
        tag = stream.tag("prod")
        assert tag and tag.current
        assert (tag.current.digest, cluster.current) == (OLD.digest, digest("newest"))
        assert stream.version == cluster.streams[NAMESPACE, STREAM]["metadata"]["resourceVersion"]

    @pytest.mark.parametrize("lost", LOST)
    def test_a_lost_answer(self, lost: ClusterError) -> None:
        cluster = Cluster()
        back(cluster)
        cluster.after = [lost]
        release_hold(cluster, NAME, retrier=patient(2))
        assert len(cluster.written) == 2

    def test_what_was_written_counts_where_it_cannot_be_read_afterwards(self) -> None:
        cluster = Cluster()
        back(cluster)
        cluster.after = [cluster.fall_silent]
        tag = release_hold(cluster, NAME, retrier=patient(2)).tag("prod")
        assert tag and tag.source and (tag.source.kind, hold_of(tag)) == ("DockerImage", None)
        assert cluster.reference["from"]["kind"] == "DockerImage"

    def test_what_somebody_else_did_meanwhile_stays(self) -> None:
        cluster = Cluster()
        back(cluster)
        cluster.before = [cluster.retag]
        with pytest.raises(NoHoldError) as told:
            release_hold(cluster, NAME, retrier=patient(2))
        assert told.value.exit_status == 2
        assert cluster.current == digest("else")

    def test_a_hold_that_does_not_tell_what_was_there_before(self) -> None:
        cluster = Cluster()
        back(cluster)
        value = json.loads(cluster.reference["annotations"][ANNOTATION])
        cluster.change_tag("prod", annotations={ANNOTATION: json.dumps({**value, "original": None})})
        with pytest.raises(NoHoldError, match="oc tag --source=docker"):
            release_hold(cluster, NAME, retrier=patient(2))


def test_the_annotation_of_a_hold_that_is_over_goes_alone() -> None:
    cluster = Cluster()
    back(cluster)
    kept = {**cluster.reference["annotations"], "note": "ours"}
    cluster.change_tag("prod", annotations=kept, **{"from": docker("quay.io/packit/prod:prod")})
    before = cluster.reference
    remove_stale_hold(cluster, NAME, retrier=patient(0))
    assert cluster.reference == {**before, "annotations": {"note": "ours"}}
    with pytest.raises(NoHoldError):
        remove_stale_hold(cluster, NAME, retrier=patient(0))


def test_who_it_is_may_stay_unknown() -> None:
    cluster = ScriptedCluster()
    cluster.on_create.extend([lambda usual: {"status": {"userInfo": {"username": "jane\n"}}}, lambda usual: {}])
    assert current_user(cluster) == "jane"
    assert current_user(cluster) is None
    cluster.on_create.append(_refused)
    assert current_user(cluster) is None


def _refused(usual: object) -> Mapping[str, Any]:
    raise ClusterError(Reason.FORBIDDEN, "no", code=403)
