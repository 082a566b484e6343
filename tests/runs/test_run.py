"""The command `run` from settings to exit status."""

from __future__ import annotations

from tests.runs.place import Place, metrics_of


def test_imports_every_stream_of_the_deployment(place: Place) -> None:
    digests = {name: place.push(name, f"{name} one") for name in ("service", "worker")}
    for name in digests:
        place.stream(name)
    done = place.run()
    assert done.status == 0, done.stderr
    assert done.results == {"service:prod": "updated", "worker:prod": "updated"}
    assert {name: place.current(name) for name in digests} == digests
    held = metrics_of(place.sandbox.pushgateway, stream_namespace=place.namespace, deployment="prod")
    assert held["tags"][(("result", "updated"),)] == 2
