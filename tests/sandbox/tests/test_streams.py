"""Edits of streams and their tags: generations, annotations, history."""

from __future__ import annotations

import pytest

from tests.sandbox.client import IMAGE, Refused, Sandbox, image
from tests.sandbox.status import Json

pytest_plugins = ["tests.sandbox.fixtures"]

JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


def history(stream: Json, tag: str) -> Json:
    return next((each for each in stream["status"].get("tags", []) if each["tag"] == tag), {"items": []})


def spec_tag(stream: Json, tag: str) -> Json:
    found = next(each for each in stream["spec"]["tags"] if each["name"] == tag)
    assert isinstance(found, dict)
    return found


def images_of(stream: Json, tag: str) -> list[str]:
    return [each["image"] for each in history(stream, tag)["items"]]


class App:
    """A stream `app` with a tag `prod` that had the images `old` and `new`."""

    def __init__(self, sandbox: Sandbox, namespace: str) -> None:
        self.sandbox = sandbox
        self.namespace = namespace
        self.source = sandbox.source(f"{namespace}/app")
        tags = {"prod": f"{self.source}:prod", "live": {"from": {"kind": "ImageStreamTag", "name": "prod"}}}
        sandbox.create_stream(namespace, "app", tags, labels={"team": "shop"})
        self.old = self.push("one")
        self.new = self.push("two")

    def push(self, content: str) -> str:
        digest = self.sandbox.registry.push(f"{self.namespace}/app", "prod", content)
        self.sandbox.import_images(self.namespace, "app", [image(f"{self.source}:prod", "prod")])
        return digest

    @property
    def path(self) -> str:
        return f"{IMAGE}/namespaces/{self.namespace}/imagestreams/app"

    @property
    def stream(self) -> Json:
        return self.sandbox.stream(self.namespace, "app")

    def tag_path(self, tag: str = "prod") -> str:
        return f"{IMAGE}/namespaces/{self.namespace}/imagestreamtags/app:{tag}"

    def put(self, tag: Json | None, name: str = "prod", *, dry_run: bool = False, **metadata: object) -> Json:
        body = {"metadata": {"name": f"app:{name}", **metadata}, "tag": tag}
        query = {"dryRun": "All"} if dry_run else None
        found = self.sandbox.ask("PUT", self.tag_path(name), body, query=query)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def app(sandbox: Sandbox, namespace: str) -> App:
    return App(sandbox, namespace)


# The spec of a stream


def patch_tag(app: App, **changes: object) -> Json:
    body = {"spec": {"tags": [{"name": "prod", **changes}]}}
    found = app.sandbox.patch(app.path, body, STRATEGIC_PATCH)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("number", [None, 1, 99])
def test_no_number_but_zero_is_taken(app: App, number: int | None) -> None:
    before = app.stream
    operation = {"op": "add", "path": "/spec/tags/1/generation", "value": number}
    after = app.sandbox.patch(app.path, [operation], JSON_PATCH)
    assert after == before


def test_zero_becomes_the_next_generation(app: App) -> None:
    before = app.stream
    after = patch_tag(app, generation=0)
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert spec_tag(after, "prod")["generation"] == after["metadata"]["generation"]
    assert spec_tag(after, "live")["generation"] == 1
    assert after["status"] == before["status"]


@pytest.mark.parametrize(
    ("change", "bumps"),
    [
        ({"from": {"name": "quay.io/other/app:prod"}}, True),
        ({"importPolicy": {"importMode": "PreserveOriginal"}}, True),
        ({"importPolicy": {"scheduled": True}}, False),
        ({"referencePolicy": {"type": "Local"}}, False),
        ({"annotations": {"note": "x"}}, False),
    ],
)
def test_what_makes_a_tag_newer(app: App, change: Json, bumps: bool) -> None:
    before = app.stream
    after = patch_tag(app, **change)
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    changed = spec_tag(after, "prod")["generation"] != spec_tag(before, "prod")["generation"]
    assert changed == bumps
    assert after["status"] == before["status"]


def test_metadata_leaves_the_generation_alone(app: App) -> None:
    before = app.stream
    after = app.sandbox.patch(app.path, {"metadata": {"labels": {"a": "b"}}})
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


def test_an_edit_that_changes_nothing_writes_nothing(app: App) -> None:
    before = app.stream
    assert app.sandbox.replace(app.path, before) == before


def test_a_merge_patch_replaces_all_tags_and_a_strategic_one_does_not(app: App) -> None:
    patch_tag(app, annotations={"note": "x"})
    assert [each["name"] for each in app.stream["spec"]["tags"]] == ["live", "prod"]
    app.sandbox.patch(app.path, {"spec": {"tags": [{"name": "other"}]}})
    stream = app.stream
    assert [each["name"] for each in stream["spec"]["tags"]] == ["other"]
    # The history outlives the spec tag.
    assert images_of(stream, "prod") == [app.new, app.old]


def test_status_in_an_ordinary_write_is_ignored(app: App) -> None:
    stream = app.stream
    changed = {**stream, "status": {"tags": []}}
    assert app.sandbox.replace(app.path, changed)["status"] == stream["status"]


def test_a_write_to_status_leaves_the_spec_alone(app: App) -> None:
    stream = app.stream
    pushed = {"tag": "pushed", "items": [{"image": app.old, "dockerImageReference": f"{app.source}@{app.old}"}]}
    stream["status"]["tags"].append(pushed)
    stream["spec"]["tags"] = []
    after = app.sandbox.replace(f"{app.path}/status", stream)
    assert [each["name"] for each in after["spec"]["tags"]] == ["live", "prod"]
    assert images_of(after, "pushed") == [app.old]
    assert history(after, "pushed")["items"][0]["generation"] == after["metadata"]["generation"]


def test_an_update_needs_a_version(app: App) -> None:
    stream = app.stream
    stale = stream["metadata"].pop("resourceVersion")
    with pytest.raises(Refused) as refused:
        app.sandbox.replace(app.path, stream)
    assert refused.value.code == 422
    assert refused.value.message == (
        'ImageStream.image.openshift.io "app" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified'
        " for an update"
    )
    app.sandbox.patch(app.path, {"metadata": {"labels": {"a": "b"}}})
    stream["metadata"]["resourceVersion"] = stale
    with pytest.raises(Refused, match=r'on imagestreams\.image\.openshift\.io "app": the object has been modified'):
        app.sandbox.replace(app.path, stream)


def test_a_reference_tag_gets_an_item_at_once(app: App) -> None:
    after = patch_tag(app, reference=True)
    first = history(after, "prod")["items"][0]
    assert (first["image"], first["dockerImageReference"]) == ("", f"{app.source}:prod")
    assert first["generation"] == after["metadata"]["generation"]


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        (
            {"from": {"kind": "DockerImage", "name": "UPPER//bad"}},
            "spec.tags[t].from.name: Invalid value: \"UPPER//bad\": invalid reference format",
        ),
        (
            {"from": {"kind": "DockerImage", "name": "a:b"}, "referencePolicy": {"type": "Else"}},
            'spec.tags[t].referencePolicy.type: Invalid value: "Else": valid values are "Source", "Local"',
        ),
        (
            {"from": {"kind": "DockerImage", "name": "a:b"}, "importPolicy": {"importMode": "Else"}},
            "spec.tags[t].importPolicy.importMode: Invalid value: \"Else\": invalid import mode, valid modes are '',"
            " 'Legacy', 'PreserveOriginal'",
        ),
        (
            {"from": {"kind": "ImageStreamTag", "name": "nothing:prod"}},
            '[]: Internal error: imagestreams "app" is invalid: spec.tags[t].from.name: Not found: "nothing:prod"',
        ),
    ],
)  # fmt: skip
def test_what_a_tag_must_be(sandbox: Sandbox, namespace: str, tag: Json, message: str) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.create_stream(namespace, "app", {"t": tag})
    assert refused.value.code == 422
    assert refused.value.message == f'ImageStream.image.openshift.io "app" is invalid: {message}'


def test_a_tag_of_a_stream_that_may_not_be_pulled(sandbox: Sandbox, namespace: str, app: App) -> None:
    elsewhere = sandbox.create_namespace()
    token = sandbox.create_account(elsewhere, "worker", cluster_role="edit")
    source = {"kind": "ImageStreamTag", "name": "app:prod", "namespace": namespace}
    body = {"metadata": {"name": "copy"}, "spec": {"tags": [{"name": "t", "from": source}]}}
    path = f"{IMAGE}/namespaces/{elsewhere}/imagestreams"
    reply = sandbox.as_user(token).request("POST", path, body)
    assert reply.code == 422
    assert f'spec.tags[t].from: Forbidden: {namespace}/app: "" ""' in reply.json["message"]

    sandbox.bind(namespace, "worker", {"kind": "ClusterRole", "name": "system:image-puller"}, of=elsewhere)
    reply = sandbox.as_user(token).request("POST", path, body)
    assert images_of(reply.json, "t") == [app.new]
    sandbox.delete(f"/api/v1/namespaces/{elsewhere}")


# Tags as objects of their own


def hold(app: App, digest: str, **metadata: object) -> Json:
    source = {"kind": "ImageStreamImage", "name": f"app@{digest}"}
    body = {"metadata": {"name": "app:prod", **metadata}, "tag": {"name": "prod", "from": source}}
    found = app.sandbox.replace(app.tag_path(), body)
    assert isinstance(found, dict)
    return found


def test_back_to_an_image_of_the_history(app: App) -> None:
    tag = hold(app, app.old, annotations={"why": "broken"})
    assert tag["image"]["metadata"]["name"] == app.old
    stream = app.stream
    assert images_of(stream, "prod") == [app.old, app.new, app.old]
    assert history(stream, "live")["items"] == history(stream, "prod")["items"]
    assert spec_tag(stream, "prod")["annotations"] == {"why": "broken"}
    assert spec_tag(stream, "prod")["generation"] == stream["metadata"]["generation"] == 4


def test_a_put_replaces_the_whole_tag(app: App) -> None:
    patch_tag(app, annotations={"a": "b"}, referencePolicy={"type": "Local"})
    app.put({"name": "prod", "from": {"kind": "DockerImage", "name": f"{app.source}:prod"}}, annotations={"c": "d"})
    tag = spec_tag(app.stream, "prod")
    assert tag["annotations"] == {"c": "d"}
    assert tag["importPolicy"] == {"importMode": "Legacy"}
    assert tag["referencePolicy"] == {"type": "Source"}
    app.put(tag)
    assert spec_tag(app.stream, "prod")["annotations"] is None


def test_a_put_without_a_tag_changes_the_annotations(app: App) -> None:
    before = spec_tag(app.stream, "prod")
    app.put(None, annotations={"c": "d"})
    assert spec_tag(app.stream, "prod") == {**before, "annotations": {"c": "d"}}
    with pytest.raises(Refused, match="imagestreamtag nope is not a spec tag in imagestream") as refused:
        app.put(None, name="nope")
    assert refused.value.code == 400


def test_a_put_of_a_new_tag_and_of_a_new_stream(app: App) -> None:
    tag = {"from": {"kind": "ImageStreamTag", "name": "app:prod"}}
    for name, code in (("app:extra", 201), ("app:extra", 200), ("fresh:extra", 201)):
        path = f"{IMAGE}/namespaces/{app.namespace}/imagestreamtags/{name}"
        reply = app.sandbox.request("PUT", path, {"metadata": {"name": name}, "tag": tag})
        assert (reply.code, reply.json["tag"]["name"]) == (code, "extra")
    assert images_of(app.stream, "extra") == [app.new]
    fresh = app.sandbox.stream(app.namespace, "fresh")
    assert fresh["metadata"]["generation"] == 1
    assert images_of(fresh, "extra") == [app.new]


def test_a_put_with_an_old_version_is_a_conflict(app: App) -> None:
    stale = app.stream["metadata"]["resourceVersion"]
    app.sandbox.patch(app.path, {"metadata": {"labels": {"a": "b"}}})
    current = app.stream["metadata"]["resourceVersion"]
    with pytest.raises(Refused) as refused:
        hold(app, app.old, resourceVersion=stale)
    assert refused.value.code == 409
    assert refused.value.message == (
        'Operation cannot be fulfilled on imagestreamtags.image.openshift.io "app:prod": another caller has updated the'
        f" resource version to {current}"
    )
    hold(app, app.old, resourceVersion=current)


def test_a_put_may_be_a_dry_run(app: App) -> None:
    before = app.stream
    source = {"kind": "ImageStreamImage", "name": f"app@{app.old}"}
    answer = app.put({"from": source}, dry_run=True)
    assert answer["image"]["metadata"]["name"] == app.old
    assert app.stream == before


def test_a_put_of_what_is_there_does_not_point_anew(app: App) -> None:
    hold(app, app.old)
    app.sandbox.import_images(app.namespace, "app", [image(f"{app.source}:prod", "other")])
    before = app.stream
    hold(app, app.old)
    assert app.stream == before


def test_a_beginning_of_a_digest_is_enough(app: App) -> None:
    hold(app, app.old.removeprefix("sha256:")[:10])
    assert images_of(app.stream, "prod")[0] == app.old


def test_a_beginning_of_two_digests_is_not(app: App) -> None:
    with pytest.raises(Refused) as refused:
        hold(app, "sha256:")
    assert refused.value.code == 422
    assert 'multiple images match the prefix "sha256:"' in refused.value.message


def test_labels_cannot_be_changed_through_a_tag(app: App) -> None:
    hold(app, app.old, labels={"team": "shop"})
    with pytest.raises(Refused, match=r"may not update fields other than metadata\.annotations"):
        hold(app, app.new, labels={"team": "other"})


def test_create_and_delete_a_tag(app: App) -> None:
    path = f"{IMAGE}/namespaces/{app.namespace}/imagestreamtags"
    body = {"metadata": {"name": "app:extra"}, "tag": {"from": {"kind": "ImageStreamTag", "name": "prod"}}}
    assert app.sandbox.create(path, body)["image"]["metadata"]["name"] == app.new
    with pytest.raises(Refused, match=r'imagestreamtag\.image\.openshift\.io "app:extra" already exists'):
        app.sandbox.create(path, body)
    app.sandbox.delete(f"{path}/app:extra")
    stream = app.stream
    assert [each["name"] for each in stream["spec"]["tags"]] == ["live", "prod"]
    assert history(stream, "extra") == {"items": []}
    with pytest.raises(Refused, match=r'imagestreamtags\.image\.openshift\.io "app:extra" not found'):
        app.sandbox.delete(f"{path}/app:extra")


def test_a_list_of_tags_has_those_with_an_image(app: App) -> None:
    patch_tag(app, annotations={"note": "x"})
    app.sandbox.patch(app.path, {"spec": {"tags": [{"name": "waiting"}]}}, STRATEGIC_PATCH)
    found = app.sandbox.get(f"{IMAGE}/namespaces/{app.namespace}/imagestreamtags")
    assert [each["metadata"]["name"] for each in found["items"]] == ["app:live", "app:prod"]
    prod = found["items"][1]
    assert prod["metadata"]["annotations"] == {"note": "x"}
    assert prod["metadata"]["labels"] == {"team": "shop"}
    assert prod["image"]["metadata"]["name"] == app.new
    with pytest.raises(Refused) as refused:
        app.sandbox.get(app.tag_path("waiting"))
    assert refused.value.code == 404


def test_a_local_reference_policy_shows_in_the_tag(app: App) -> None:
    patch_tag(app, referencePolicy={"type": "Local"})
    reference = app.sandbox.get(app.tag_path())["image"]["dockerImageReference"]
    assert reference == f"image-registry.openshift-image-registry.svc:5000/{app.namespace}/app@{app.new}"


@pytest.mark.parametrize("name", ["app", "app:", ":prod", "app:a:b", "app@sha256:00"])
def test_the_name_of_a_tag(app: App, name: str) -> None:
    with pytest.raises(Refused, match="ImageStreamTags must be retrieved with <name>:<tag>"):
        app.sandbox.get(f"{IMAGE}/namespaces/{app.namespace}/imagestreamtags/{name}")


def test_a_pushed_tag_is_in_status_only(app: App) -> None:
    pushed = {"metadata": {"name": "sha256:" + "1" * 64}, "dockerImageReference": f"{app.source}:pushed"}
    body = {"metadata": {"name": "app"}, "tag": "pushed", "image": pushed}
    app.sandbox.create(f"{IMAGE}/namespaces/{app.namespace}/imagestreammappings", body)
    stream = app.stream
    assert [each["name"] for each in stream["spec"]["tags"]] == ["live", "prod"]
    [item] = history(stream, "pushed")["items"]
    assert item["generation"] == stream["metadata"]["generation"]
    assert app.sandbox.get(app.tag_path("pushed"))["tag"] is None


# Images


def stream_image(app: App, wanted: str) -> Json:
    found = app.sandbox.get(f"{IMAGE}/namespaces/{app.namespace}/imagestreamimages/app@{wanted}")
    assert isinstance(found, dict)
    return found


def test_an_image_of_the_history(app: App) -> None:
    found = stream_image(app, app.old)
    assert found["metadata"]["name"] == f"app@{app.old}"
    assert found["image"]["metadata"]["name"] == app.old
    assert found["image"]["dockerImageMetadata"]["Created"] == "2026-11-20T10:00:00Z"
    assert stream_image(app, app.old[:15])["image"] == found["image"]
    assert stream_image(app, app.old.removeprefix("sha256:")[:9])["image"] == found["image"]


def test_the_parts_of_an_index(app: App) -> None:
    labels = {"org.opencontainers.image.revision": "abc"}
    digest = app.sandbox.registry.push(f"{app.namespace}/app", "multi", "three", ["amd64", "arm64"], labels)
    wanted = image(f"{app.source}:multi", "multi", importMode="PreserveOriginal")
    app.sandbox.import_images(app.namespace, "app", [wanted])
    index = stream_image(app, digest)["image"]
    assert "Config" not in index["dockerImageMetadata"]
    for part in index["dockerImageManifests"]:
        found = stream_image(app, part["digest"])["image"]
        assert found["dockerImageMetadata"]["Architecture"] == part["architecture"]
        assert found["dockerImageMetadata"]["Config"]["Labels"] == labels
    layers = app.sandbox.get(f"{app.path}/layers")
    assert layers["images"][digest]["manifests"] == [each["digest"] for each in index["dockerImageManifests"]]
    assert layers["images"][app.old]["imageMissing"] is False
    assert layers["blobs"][app.old]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"


def test_an_image_that_is_not_of_the_stream(app: App) -> None:
    unknown = "sha256:" + "0" * 64
    with pytest.raises(Refused, match=f'imagestreamimage.image.openshift.io "app@{unknown}" not found'):
        stream_image(app, unknown)


def test_a_pruned_image(app: App) -> None:
    app.sandbox.delete(f"{IMAGE}/images/{app.old}")
    with pytest.raises(Refused, match=f'imagestreamimages.image.openshift.io "{app.old}" not found'):
        stream_image(app, app.old)
    assert app.sandbox.get(f"{app.path}/layers")["images"][app.old]["imageMissing"] is True
    # The history still knows it, so a tag can be put back to it.
    hold(app, app.old)
    assert images_of(app.stream, "prod")[0] == app.old
    # Other tests may want the image, which is the whole cluster's.
    app.push("one")
