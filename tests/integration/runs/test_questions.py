"""How often registries are asked: three images a request, whichever streams they are of."""

from __future__ import annotations

import math

import pytest

from tests.support.place import Place

STREAMS = 8


def previews(place: Place) -> list[int]:
    """How many images each look-up asked for. Unlike an import it names tags that no stream has."""
    return [len(asked["sources"]) for asked in place.imports() if asked["tags"] != ["prod"]]


def imported(place: Place) -> None:
    """Streams whose tag has had two images."""
    for number in range(STREAMS):
        place.imported(f"app-{number}", "one")
        place.push(f"app-{number}", "two")
        place.sandbox.import_tag(place.namespace, f"app-{number}", "prod")


def test_streams_share_the_questions_of_a_command(place: Place) -> None:
    imported(place)
    for words, images in (["plan"], STREAMS), (["status"], STREAMS), (["history", "--check", "*"], 2 * STREAMS):
        place.sandbox.clear_log()
        assert place.run(*words).status == 0
        asked = previews(place)
        assert (sum(asked), len(asked)) == (images, math.ceil(images / 3)), words


@pytest.mark.parametrize(
    ("settings", "images"),
    [({"MIN_AGE": "1s"}, STREAMS), ({"CHECK_HORIZON": "true"}, 2 * STREAMS)],
    ids=["gate", "horizon"],
)
def test_streams_share_the_questions_of_a_run(place: Place, settings: dict[str, str], images: int) -> None:
    imported(place)
    for number in range(STREAMS):
        place.push(f"app-{number}", "three")
    place.sandbox.clear_log()
    assert set(place.run(PUSHGATEWAY_ADDRESS="", **settings).results.values()) == {"updated"}
    asked = previews(place)
    assert (sum(asked), len(asked)) == (images, math.ceil(images / 3))
