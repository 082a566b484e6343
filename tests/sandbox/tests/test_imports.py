"""What imports do to streams, beyond the recorded answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.client import IMAGE, Refused, Sandbox, image
from tests.sandbox.status import Json

pytest_plugins = ["tests.sandbox.fixtures"]

JSON_PATCH = "application/json-patch+json"


def items(stream: Json, tag: str) -> list[Json]:
    found = history(stream, tag)["items"]
    assert isinstance(found, list)
    return found


def history(stream: Json, tag: str) -> Json:
    return next((each for each in stream["status"].get("tags", []) if each["tag"] == tag), {"items": []})


def spec_tag(stream: Json, tag: str) -> Json:
    found = next(each for each in stream["spec"]["tags"] if each["name"] == tag)
    assert isinstance(found, dict)
    return found


def images_of(stream: Json, tag: str) -> list[str]:
    return [each["image"] for each in items(stream, tag)]


@pytest.fixture
def source(sandbox: Sandbox, namespace: str) -> str:
    """A repository of the test's own, with an image `prod`."""
    sandbox.registry.push(f"{namespace}/app", "prod", "one")
    return sandbox.source(f"{namespace}/app")


@pytest.fixture
def app(sandbox: Sandbox, namespace: str, source: str) -> str:
    """A stream whose tag `prod` was imported once."""
    sandbox.create_stream(namespace, "app", {"prod": f"{source}:prod"})
    sandbox.import_tag(namespace, "app", "prod")
    return "app"


def test_back_to_an_older_image_is_a_third_item(sandbox: Sandbox, namespace: str, app: str) -> None:
    digests = [sandbox.registry.push(f"{namespace}/app", "prod", content) for content in ("one", "two", "one")]
    for content in ("two", "one"):
        sandbox.registry.push(f"{namespace}/app", "prod", content)
        sandbox.import_tag(namespace, app, "prod")

    stream = sandbox.stream(namespace, app)
    assert images_of(stream, "prod") == [digests[0], digests[1], digests[0]]
    assert [each["generation"] for each in items(stream, "prod")] == [4, 3, 2]
    assert stream["metadata"]["generation"] == 4


def test_a_failure_keeps_the_images_and_says_why(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    before = sandbox.stream(namespace, app)
    answer = sandbox.import_images(namespace, app, [image(f"{source}:gone", "prod")])

    stream = sandbox.stream(namespace, app)
    assert answer["status"]["images"][0]["tag"] == "gone"
    assert items(stream, "prod") == items(before, "prod")
    [condition] = history(stream, "prod")["conditions"]
    assert condition["type"] == "ImportSuccess"
    assert condition["status"] == "False"
    assert condition["reason"] == "NotFound"
    assert condition["message"] == f'dockerimage.image.openshift.io "{source}:gone" not found'
    assert condition["generation"] == 3
    assert stream["metadata"]["generation"] == 3
    assert spec_tag(stream, "prod") == {**spec_tag(before, "prod"), "generation": 3}


def test_the_same_failure_again_writes_nothing(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    sandbox.import_images(namespace, app, [image(f"{source}:gone", "prod")])
    before = sandbox.stream(namespace, app)
    answer = sandbox.import_images(namespace, app, [image(f"{source}:gone", "prod")])
    assert sandbox.stream(namespace, app) == before
    assert answer["status"]["import"]["metadata"] == before["metadata"]


def test_another_failure_takes_the_place_of_the_first(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    sandbox.import_images(namespace, app, [image(f"{source}:gone", "prod")])
    sandbox.import_images(namespace, app, [image("127.0.0.1:1/x:prod", "prod")])
    stream = sandbox.stream(namespace, app)
    [condition] = history(stream, "prod")["conditions"]
    assert condition["reason"] == "InternalError"
    assert condition["generation"] == spec_tag(stream, "prod")["generation"] == 4


def test_recovery_clears_the_condition(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    sandbox.import_images(namespace, app, [image(f"{source}:gone", "prod")])
    sandbox.import_tag(namespace, app, "prod")
    stream = sandbox.stream(namespace, app)
    assert "conditions" not in history(stream, "prod")
    # The failure made the spec newer than the image, so the image counts as new without being another item.
    assert [each["generation"] for each in items(stream, "prod")] == [4]
    assert spec_tag(stream, "prod")["generation"] == 4


def test_a_failed_import_of_a_new_tag_creates_the_tag(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    sandbox.import_images(namespace, app, [image(f"{source}:typo", "new", scheduled=True)])
    stream = sandbox.stream(namespace, app)
    assert spec_tag(stream, "new")["from"] == {"kind": "DockerImage", "name": f"{source}:typo"}
    assert spec_tag(stream, "new")["importPolicy"] == {"importMode": "Legacy", "insecure": True, "scheduled": True}
    assert history(stream, "new")["items"] is None


def test_the_same_image_changes_only_the_policy(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    sandbox.registry.push(f"{namespace}/app", "other", "one")
    before = sandbox.stream(namespace, app)
    sandbox.import_images(namespace, app, [image(f"{source}:other", "prod", scheduled=True)])

    stream = sandbox.stream(namespace, app)
    tag = spec_tag(stream, "prod")
    assert tag["from"] == spec_tag(before, "prod")["from"]
    assert tag["importPolicy"] == {"importMode": "Legacy", "insecure": True, "scheduled": True}
    assert tag["generation"] == spec_tag(before, "prod")["generation"]
    assert stream["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert items(stream, "prod") == items(before, "prod")


def test_another_mode_makes_the_spec_newer_than_the_status(
    sandbox: Sandbox, namespace: str, app: str, source: str
) -> None:
    sandbox.import_images(namespace, app, [image(f"{source}:prod", "prod", importMode="PreserveOriginal")])
    stream = sandbox.stream(namespace, app)
    assert spec_tag(stream, "prod")["generation"] == 3
    assert [each["generation"] for each in items(stream, "prod")] == [2]


def test_a_pinned_source_is_imported_by_its_digest(sandbox: Sandbox, namespace: str, source: str) -> None:
    digest = sandbox.registry.push(f"{namespace}/app", "prod", "one")
    sandbox.registry.push(f"{namespace}/app", "prod", "two")
    answer = sandbox.import_images(namespace, "app", [image(f"{source}@{digest}", "pinned")])

    assert "tag" not in answer["status"]["images"][0]
    stream = sandbox.stream(namespace, "app")
    assert images_of(stream, "pinned") == [digest]
    assert items(stream, "pinned")[0]["dockerImageReference"] == f"{source}@{digest}"
    assert spec_tag(stream, "pinned")["from"]["name"] == f"{source}@{digest}"


def test_a_digest_without_target_is_only_looked_up(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    digest = sandbox.registry.push(f"{namespace}/app", "prod", "two")
    before = sandbox.stream(namespace, app)
    answer = sandbox.import_images(namespace, app, [image(f"{source}@{digest}")])
    assert answer["status"]["images"][0]["image"]["metadata"]["name"] == digest
    assert sandbox.stream(namespace, app) == before


def test_two_tags_of_one_repository_share_the_first_ones_insecure(
    sandbox: Sandbox, namespace: str, source: str
) -> None:
    sandbox.registry.push(f"{namespace}/app", "other", "two")
    insecure, secure = image(f"{source}:prod", "a"), image(f"{source}:other", "b", insecure=False)
    for wanted, expected in (([insecure, secure], "Success"), ([secure, insecure], "Failure")):
        answer = sandbox.import_images(namespace, "app", wanted)
        assert [each["status"]["status"] for each in answer["status"]["images"]] == [expected, expected]


def test_dry_run_is_not_honoured(sandbox: Sandbox, namespace: str, source: str) -> None:
    body = {"metadata": {"name": "app"}, "spec": {"import": True, "images": [image(f"{source}:prod", "prod")]}}
    sandbox.create(f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body, dryRun="All")
    assert len(images_of(sandbox.stream(namespace, "app"), "prod")) == 1


def test_legacy_takes_the_preferred_part_of_an_index(sandbox: Sandbox, namespace: str) -> None:
    platforms = ["amd64", "arm64", "s390x"]
    sandbox.registry.push(f"{namespace}/multi", "prod", "one", platforms)
    source = sandbox.source(f"{namespace}/multi:prod")
    preferring = {
        "from": {"kind": "DockerImage", "name": source},
        "importPolicy": {"insecure": True},
        "annotations": {"importer.image.openshift.io/prefer-arch": "arm64"},
    }
    sandbox.create_stream(namespace, "multi", {"plain": source, "arm": preferring})
    wanted = [image(source, "plain"), image(source, "arm"), image(source, "all", importMode="PreserveOriginal")]
    answer = sandbox.import_images(namespace, "multi", wanted)

    plain, arm, everything = answer["status"]["images"]
    assert plain["image"]["dockerImageMetadata"]["Architecture"] == "amd64"
    assert arm["image"]["dockerImageMetadata"]["Architecture"] == "arm64"
    parts = everything["image"]["dockerImageManifests"]
    assert [each["architecture"] for each in parts] == platforms
    assert [each["metadata"]["name"] for each in everything["manifests"]] == [each["digest"] for each in parts]
    assert plain["image"]["metadata"]["name"] == parts[0]["digest"]


# Followers


def test_followers_in_the_stream_go_along(sandbox: Sandbox, namespace: str, source: str) -> None:
    follower = {"from": {"kind": "ImageStreamTag", "name": "app:prod"}}
    tags = {"prod": f"{source}:prod", "live": follower}
    sandbox.create_stream(namespace, "app", tags)
    for content in ("one", "two"):
        sandbox.registry.push(f"{namespace}/app", "prod", content)
        sandbox.import_tag(namespace, "app", "prod")
    stream = sandbox.stream(namespace, "app")
    assert len(items(stream, "prod")) == 2
    assert items(stream, "live") == items(stream, "prod")
    assert spec_tag(stream, "live")["generation"] == 1


def test_an_unchanged_source_does_not_move_a_follower(sandbox: Sandbox, namespace: str, app: str) -> None:
    sandbox.patch(
        f"{IMAGE}/namespaces/{namespace}/imagestreams/{app}",
        {"spec": {"tags": [{"name": "live", "from": {"kind": "ImageStreamTag", "name": "prod"}}]}},
        "application/strategic-merge-patch+json",
    )
    before = sandbox.stream(namespace, app)
    assert images_of(before, "live") == images_of(before, "prod")
    sandbox.import_tag(namespace, app, "prod")
    assert sandbox.stream(namespace, app) == before


def test_a_tag_of_another_stream_is_a_snapshot(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    snapshot = {"from": {"kind": "ImageStreamTag", "name": "app:prod"}}
    other = sandbox.create_stream(namespace, "other", {"copy": snapshot})
    first = images_of(sandbox.stream(namespace, app), "prod")
    assert images_of(other, "copy") == first

    sandbox.registry.push(f"{namespace}/app", "prod", "two")
    sandbox.import_tag(namespace, app, "prod")
    assert images_of(sandbox.stream(namespace, "other"), "copy") == first


# Whole repositories


def import_repository(sandbox: Sandbox, namespace: str, repository: str) -> Json:
    source = {"kind": "DockerImage", "name": sandbox.source(repository)}
    spec = {"import": True, "repository": {"from": source, "importPolicy": {"insecure": True}}}
    body = {"metadata": {"name": "whole"}, "spec": spec}
    found = sandbox.create(f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body)
    assert isinstance(found, dict)
    return found


def test_a_whole_repository_in_the_order_of_importance(sandbox: Sandbox, namespace: str) -> None:
    ordered = ["latest", "v2.0", "1.10", "1.9", "2.0.1", "v1.2.3", "1.2.3-rc1", "main", "zeta"]
    for tag in sorted(ordered):
        sandbox.registry.push(f"{namespace}/whole", tag, tag)
    answer = import_repository(sandbox, namespace, f"{namespace}/whole")

    status = answer["status"]["repository"]
    assert [each["tag"] for each in status["images"]] == ordered
    assert status["status"] == {"metadata": {}, "status": "Success"}
    assert "additionalTags" not in status
    stream = sandbox.stream(namespace, "whole")
    assert [each["name"] for each in stream["spec"]["tags"]] == sorted(ordered)
    assert spec_tag(stream, "v2.0")["from"]["name"] == sandbox.source(f"{namespace}/whole:v2.0")
    assert "dockerImageRepository" not in stream["spec"]


def test_at_most_fifty_tags_of_a_repository(sandbox: Sandbox, namespace: str) -> None:
    sandbox.registry.push(f"{namespace}/many", "t00", "one")
    for number in range(1, 53):
        sandbox.registry.tag(f"{namespace}/many", f"t{number:02}", "t00")
    status = import_repository(sandbox, namespace, f"{namespace}/many")["status"]["repository"]
    assert len(status["images"]) == 50
    assert status["additionalTags"] == ["t50", "t51", "t52"]
    assert len(sandbox.stream(namespace, "whole")["spec"]["tags"]) == 50


def test_a_broken_tag_of_a_repository(sandbox: Sandbox, namespace: str) -> None:
    repository = f"{namespace}/broken"
    sandbox.registry.push(repository, "a-good", "one")
    broken = sandbox.registry.push(repository, "b-broken", "two", ["amd64", "arm64"])
    index = sandbox.registry.read_manifest(repository, broken)
    sandbox.registry.delete(repository, index["manifests"][0]["digest"])
    status = import_repository(sandbox, namespace, repository)["status"]["repository"]
    assert [each["status"]["status"] for each in status["images"]] == ["Success", "Failure"]
    assert status["status"]["reason"] == "ImportFailed"
    assert status["status"]["message"] == "one of the images from this repository failed to import"
    stream = sandbox.stream(namespace, "whole")
    assert history(stream, "b-broken")["conditions"][0]["reason"] == "NotFound"
    assert [each["name"] for each in stream["spec"]["tags"]] == ["a-good"]


def test_an_unknown_repository(sandbox: Sandbox, namespace: str) -> None:
    status = import_repository(sandbox, namespace, f"{namespace}/nothing")["status"]["repository"]
    assert status["status"]["reason"] == "NotFound"
    name = sandbox.source(f"{namespace}/nothing")
    assert status["status"]["message"] == f'dockerimage.image.openshift.io "{name}" not found'


def test_a_repository_may_have_no_tag(sandbox: Sandbox, namespace: str) -> None:
    with pytest.raises(Refused, match="you must specify an image repository, not a tag or ID") as refused:
        import_repository(sandbox, namespace, "some/thing:tag")
    assert refused.value.code == 422


# Conflicts, time and order


def test_a_change_during_the_import_is_a_conflict(sandbox: Sandbox, namespace: str, app: str) -> None:
    sandbox.registry.push(f"{namespace}/app", "prod", "two")
    sandbox.add_fault(path=f"{namespace}/imagestreamimports", times=1, change="during")
    before = sandbox.stream(namespace, app)
    with pytest.raises(Refused) as refused:
        sandbox.import_tag(namespace, app, "prod")
    assert refused.value.code == 409
    assert refused.value.message == (
        'Operation cannot be fulfilled on imagestreamimports.image.openshift.io "app": the object has been modified;'
        " please apply your changes to the latest version and try again"
    )
    assert sandbox.stream(namespace, app)["status"] == before["status"]
    sandbox.import_tag(namespace, app, "prod")
    assert len(items(sandbox.stream(namespace, app), "prod")) == 2


def test_a_change_before_the_import_is_a_conflict_by_version(sandbox: Sandbox, namespace: str, app: str) -> None:
    version = sandbox.stream(namespace, app)["metadata"]["resourceVersion"]
    sandbox.add_fault(path=f"{namespace}/imagestreamimports", times=2, change="before")
    for _ in range(2):
        with pytest.raises(Refused, match="the image stream was updated from") as refused:
            sandbox.import_images(namespace, app, [image("127.0.0.1:1/x:prod", "prod")], version=version)
        assert refused.value.code == 409
        version = sandbox.stream(namespace, app)["metadata"]["resourceVersion"]
    sandbox.import_images(namespace, app, [image("127.0.0.1:1/x:prod", "prod")], version=version)


def test_the_version_of_an_answer_is_good_for_the_next(sandbox: Sandbox, namespace: str, source: str) -> None:
    version = ""
    for tag in ("a", "b", "c"):
        answer = sandbox.import_images(namespace, "app", [image(f"{source}:prod", tag)], version=version)
        version = answer["status"]["import"]["metadata"]["resourceVersion"]
    assert sandbox.stream(namespace, "app")["metadata"]["resourceVersion"] == version


def race(sandbox: Sandbox, namespace: str, source: str, tags: list[str]) -> list[str]:
    """Import into one stream at once; gives the message of each, empty for success."""
    sandbox.change_settings(registry_latency=0.2)

    def run(tag: str) -> str:
        try:
            sandbox.import_images(namespace, "app", [image(f"{source}:prod", tag)])
        except Refused as refused:
            return refused.message
        return ""

    with ThreadPoolExecutor(len(tags)) as pool:
        return list(pool.map(run, tags))


def test_imports_into_one_stream_at_once(sandbox: Sandbox, namespace: str, app: str, source: str) -> None:
    messages = race(sandbox, namespace, source, ["a", "b", "c", "d"])
    assert messages.count("") == 1
    assert sum("the object has been modified" in message for message in messages) == 3


def test_new_streams_of_one_name_at_once(sandbox: Sandbox, namespace: str, source: str) -> None:
    messages = race(sandbox, namespace, source, ["a", "b", "c"])
    assert messages.count("") == 1
    assert messages.count('imagestreamimports.image.openshift.io "app" already exists') == 2


def test_a_timeout_loses_everything(
    sandbox: Sandbox, namespace: str, app: str, source: str, failing_registry: str
) -> None:
    sandbox.registry.push(f"{namespace}/app", "prod", "two")
    before = sandbox.stream(namespace, app)
    wanted = [image(f"{source}:prod", "prod"), image(f"{failing_registry}/slow-2:prod", "slow")]
    with pytest.raises(Refused) as refused:
        sandbox.import_images(namespace, app, wanted, timeout="300ms")
    assert refused.value.code == 504
    assert refused.value.reason == "Timeout"
    assert sandbox.stream(namespace, app) == before


def test_without_a_timeout_the_servers_own_applies(sandbox: Sandbox, namespace: str, failing_registry: str) -> None:
    assert sandbox.get("/sandbox/settings")["import_timeout"] == 34
    sandbox.change_settings(import_timeout=0.2)
    wanted = [image(f"{failing_registry}/slow-0.5:prod", "slow")]
    with pytest.raises(Refused) as refused:
        sandbox.import_images(namespace, "app", wanted)
    assert refused.value.code == 504
    sandbox.import_images(namespace, "app", wanted, timeout="5s")


@pytest.mark.parametrize(
    ("timeout", "message"),
    [
        ("soon", 'time: invalid duration "soon"'),
        ("30", 'time: missing unit in duration "30"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
    ],
)
def test_a_malformed_timeout(sandbox: Sandbox, namespace: str, timeout: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.import_images(namespace, "app", [image("127.0.0.1:1/x:prod", "a")], timeout=timeout)
    assert refused.value.code == 400
    assert refused.value.message == f"invalid timeout specified in the request URL - {message}"


@pytest.mark.parametrize(("images", "rate", "least", "most"), [(3, 0.1, 0.0, 9.0), (5, 5.0, 0.4, 9.0)])
def test_pacing(sandbox: Sandbox, namespace: str, images: int, rate: float, least: float, most: float) -> None:
    """Three images pass at once, the others at a rate; the same image for another tag costs nothing."""
    sandbox.change_settings(pacing=True, pacing_rate=rate)
    wanted = [image(f"127.0.0.1:1/x{number}:prod", f"t{number}") for number in range(images)]
    wanted += [image("127.0.0.1:1/x0:prod", f"more{number}") for number in range(5)]
    start = time.monotonic()
    sandbox.import_images(namespace, "app", wanted)
    assert least <= time.monotonic() - start < most


def test_registry_latency_is_for_each_image(sandbox: Sandbox, namespace: str) -> None:
    sandbox.change_settings(registry_latency={"/slow$": 0.3, "/dead$": 30})
    start = time.monotonic()
    wanted = [image(f"127.0.0.1:1/{name}:{tag}", f"{name}-{tag}") for name in ("slow", "quick") for tag in ("a", "b")]
    sandbox.import_images(namespace, "app", wanted)
    assert 0.6 <= time.monotonic() - start < 30


# Registries that are not allowed


def test_one_registry_that_is_not_allowed_fails_the_request(sandbox: Sandbox, namespace: str, source: str) -> None:
    token = sandbox.create_account(namespace, "worker", cluster_role="edit")
    sandbox.change_settings(allowed_registries=[sandbox.registry_address, "quay.io"])
    body = {
        "metadata": {"name": "app"},
        "spec": {"import": True, "images": [image(f"{source}:prod", "a"), image("docker.io/x:1", "b")]},
    }
    reply = sandbox.as_user(token).request("POST", f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body)
    assert reply.code == 422
    assert reply.json["message"] == (
        'ImageStreamImport.image.openshift.io "app" is invalid: spec.images[1].from.name: Forbidden: importing images'
        ' from registry "registry-1.docker.io:80" is forbidden: registry "registry-1.docker.io:80" not allowed by'
        ' whitelist: "image-registry.openshift-image-registry.svc:5000",'
        f' "{sandbox.registry_address}", "quay.io:443"'
    )
    assert sandbox.get(f"{IMAGE}/namespaces/{namespace}/imagestreams")["items"] == []

    body["spec"] = {"import": True, "images": [image(f"{source}:prod", "a")]}
    reply = sandbox.as_user(token).request("POST", f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body)
    assert reply.code == 201


def test_a_blocked_registry_fails_its_image(sandbox: Sandbox, namespace: str, source: str) -> None:
    sandbox.change_settings(blocked_registries=["bad.example.com"])
    wanted = [image("bad.example.com/x:1", "bad"), image(f"{source}:prod", "good")]
    answer = sandbox.import_images(namespace, "app", wanted)
    bad, good = (each["status"] for each in answer["status"]["images"])
    assert (bad["code"], bad["reason"]) == (403, "Forbidden")
    assert bad["message"] == "forbidden: registry bad.example.com blocked"
    assert good["status"] == "Success"


# The controller


@pytest.fixture
def eventually(sandbox: Sandbox, namespace: str) -> Callable[[Callable[[Json], bool]], Json]:
    """Wait until the stream `app` is as wanted."""

    def wait(wanted: Callable[[Json], bool]) -> Json:
        path = f"{IMAGE}/namespaces/{namespace}/imagestreams"
        with sandbox.watch(path, fieldSelector="metadata.name=app") as events:
            for event in events:
                if wanted(event["object"]):
                    found = event["object"]
                    assert isinstance(found, dict)
                    return found
        raise AssertionError("the watch ended")

    return wait


def test_the_controller_imports_after_an_edit(
    sandbox: Sandbox,
    namespace: str,
    app: str,
    source: str,
    eventually: Callable[[Callable[[Json], bool]], Json],
) -> None:
    digest = sandbox.registry.push(f"{namespace}/app", "next", "two")
    sandbox.change_settings(import_controller=True, import_controller_delay=0.02)
    tag = {
        "from": {"kind": "DockerImage", "name": f"{source}:next"},
        "importPolicy": {"insecure": True, "scheduled": True},
        "referencePolicy": {"type": "Local"},
    }
    body = {"metadata": {"name": "app:prod"}, "tag": tag}
    sandbox.replace(f"{IMAGE}/namespaces/{namespace}/imagestreamtags/app:prod", body)
    stream = eventually(lambda each: images_of(each, "prod")[0] == digest)
    assert spec_tag(stream, "prod")["importPolicy"] == {"importMode": "Legacy", "insecure": True, "scheduled": True}
    assert spec_tag(stream, "prod")["referencePolicy"] == {"type": "Local"}
    # The edit made generation 3, the import 4.
    assert spec_tag(stream, "prod")["generation"] == items(stream, "prod")[0]["generation"] == 4


def test_generation_zero_asks_the_controller_for_an_import(
    sandbox: Sandbox,
    namespace: str,
    app: str,
    eventually: Callable[[Callable[[Json], bool]], Json],
) -> None:
    sandbox.change_settings(import_controller=True, import_controller_delay=0.02)
    path = f"{IMAGE}/namespaces/{namespace}/imagestreams/{app}"
    sandbox.patch(path, [{"op": "replace", "path": "/spec/tags/0/generation", "value": 0}], JSON_PATCH)
    stream = eventually(lambda each: items(each, "prod")[0]["generation"] == 4)
    # The image is the same, so nothing but two generations tells of it.
    assert len(items(stream, "prod")) == 1


def test_the_controller_does_not_try_a_failure_again(
    sandbox: Sandbox,
    namespace: str,
    failing_registry: str,
    eventually: Callable[[Callable[[Json], bool]], Json],
) -> None:
    sandbox.change_settings(import_controller=True, import_controller_delay=0.01)
    sandbox.create_stream(namespace, "app", {"prod": f"{failing_registry}/denied:prod"})
    failed = eventually(lambda each: bool(history(each, "prod").get("conditions")))
    time.sleep(0.1)
    assert sandbox.stream(namespace, "app")["metadata"] == failed["metadata"]


def test_the_controller_catches_up_when_switched_on(
    sandbox: Sandbox,
    namespace: str,
    source: str,
    eventually: Callable[[Callable[[Json], bool]], Json],
) -> None:
    sandbox.create_stream(namespace, "app", {"prod": f"{source}:prod"})
    sandbox.change_settings(import_controller=True, import_controller_delay=0.01)
    eventually(lambda each: bool(items(each, "prod")))


def test_many_imports_at_once(sandbox: Sandbox, namespace: str, source: str) -> None:
    sandbox.clear_log()
    with ThreadPoolExecutor(8) as pool:
        wanted = [image(f"{source}:prod", "prod")]
        list(pool.map(lambda number: sandbox.import_images(namespace, f"app-{number}", wanted), range(40)))
    log = sandbox.log()
    assert 1 < log["most_imports_in_flight"] <= 8
    assert len(sandbox.get(f"{IMAGE}/namespaces/{namespace}/imagestreams")["items"]) == 40


@pytest.mark.parametrize(
    "spec",
    [[], {"images": {}}, {"images": ["x"]}, {"repository": "x"}, {"images": [{"from": "x"}]}],
)
def test_a_spec_that_is_none(sandbox: Sandbox, namespace: str, spec: object) -> None:
    body = {"metadata": {"name": "app"}, "spec": spec}
    reply = sandbox.request("POST", f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body)
    assert reply.code in (400, 422)
    assert "sandbox:" not in reply.json["message"]
