"""What a registry did that nobody asked for, and what images say of themselves that is not so."""

from __future__ import annotations

from tests.support.place import Place
from tests.support.registries import ATTESTATION

EPOCH = "1970-01-01T00:00:00Z"


def test_an_update_tells_what_nobody_asked_for(place: Place) -> None:
    old = place.imported("back", "old", created="2026-11-01T00:00:00Z")
    place.push("back", "new", created="2026-11-20T00:00:00Z")
    place.sandbox.import_tag(place.namespace, "back", "prod")
    place.push("back", "old", created="2026-11-01T00:00:00Z")
    place.imported("cut", "one", platforms=("amd64", "arm64"))
    place.push("cut", "two", platforms=("arm64", "s390x"))
    place.imported("epoch", "one")
    place.push("epoch", "two", created=EPOCH)
    place.imported("attested", "one")
    labels = {"io.openshift.build.commit.id": "1a2b3c"}
    place.push("attested", "two", platforms=(ATTESTATION, "amd64"), labels=labels)
    whole = {"kind": "DockerImage", "name": place.source("attested")}
    place.stream(
        "whole", {"prod": {"from": whole, "importPolicy": {"insecure": True, "importMode": "PreserveOriginal"}}}
    )
    for done in (place.run("plan", "--output", "json"), place.run()):
        assert done.status == 0, done.stderr
        assert set(done.results.values()) == {"updated"}
        messages = {name: tag["message"] for name, tag in done.tags.items() if tag["message"]}
        assert messages == {
            "back:prod": "this image is older than the one before: built 2026-11-01T00:00:00Z, the one before "
            "2026-11-20T00:00:00Z; the tag had it before that one",
            "cut:prod": "the architecture changed from amd64 to arm64",
        }
        after = {name: tag["after"] for name, tag in done.tags.items()}
        assert after["back:prod"]["digest"] == old
        assert after["epoch:prod"]["created"] is None
        for name in ("attested:prod", "whole:prod"):
            assert (after[name]["revision"], after[name]["created"]) == ("1a2b3c", "2026-11-20T10:00:00Z")
    created = place.metrics()["tag_image_created_timestamp_seconds"]
    assert [key for key in created if ("stream", "epoch") in key] == []
