"""The API of a forge during a promotion: checks that end a wait, and release notes of pull requests."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests.integration.promote.test_chain import Shop, place, shop

__all__ = ["place", "shop"]

TOKEN = "planted-password-5b1f"


class Api(http.server.BaseHTTPRequestHandler):
    """As much of GitHub's API as is used; answers are by path."""

    answers: dict[str, object]
    logins: list[str]

    def do_GET(self) -> None:
        self.logins.append(self.headers.get("Authorization", ""))
        answer = self.answers.get(self.path.partition("?")[0])
        if isinstance(answer, str):
            self.send_response(302)
            self.send_header("Location", answer)
            self.end_headers()
            return
        content = json.dumps(answer or {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def api() -> Iterator[tuple[type[Api], str]]:
    handler = type("Handler", (Api,), {"answers": {}, "logins": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def with_forge(shop: Shop, host: str, more: str = "") -> dict[str, str]:
    """Let `web` be a repository on this forge; returns the environment with its token."""
    table = f'streams = ["web:prod"]\nweb = "http://{host}/team/web"\n{more}'
    shop.folder.write(shop.folder.table("web", table), top=f'forges = {{"{host}" = "github"}}')
    return {"FORGE_TOKEN_" + host.upper().replace(".", "_").replace(":", "_"): TOKEN}


def test_a_failed_check_ends_the_wait(shop: Shop, api: tuple[type[Api], str]) -> None:
    handler, host = api
    token = with_forge(shop, host, "checks = true")
    assert shop.promote("move", "--yes", **token).status == 0
    page = "https://builds.example/1"
    failed = {"name": "image", "status": "completed", "conclusion": "failure", "html_url": page}
    path = f"/api/v3/repos/team/web/commits/{shop.tip('web', 'stable')}/check-runs"
    handler.answers[path] = {"check_runs": [failed]}
    done = shop.promote("wait", "--interval", "1s", "--timeout", "60s", **token)
    assert done.status == 1
    assert f"will not arrive: the check image failed: {page}" in done.stderr
    assert set(handler.logins) == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr


def test_a_redirect_does_not_get_the_token(shop: Shop, api: tuple[type[Api], str]) -> None:
    handler, host = api
    token = with_forge(shop, host, "checks = true")
    assert shop.promote("move", "--yes", **token).status == 0
    path = f"/api/v3/repos/team/web/commits/{shop.tip('web', 'stable')}/check-runs"
    handler.answers[path] = f"http://{host}/elsewhere"
    done = shop.promote("wait", "--interval", "1s", "--timeout", "2s", **token)
    assert done.status == 6
    assert "its checks are unknown: " in done.stderr and "HTTP status 302" in done.stderr
    assert len(handler.logins) <= 4


def test_release_notes_of_pull_requests(shop: Shop, api: tuple[type[Api], str]) -> None:
    handler, host = api
    token = with_forge(shop, host)
    handler.answers["/api/v3/repos/team/web/pulls/7"] = {"body": "```release-note\nIt is @faster.\n```"}
    shop.build("web", shop.tip("web"))
    assert shop.place.run(PUSHGATEWAY_ADDRESS=None).status == 0
    text = shop.promote("notes", "web", **token).stdout
    assert f"- Fix web ([team/web#7](http://{host}/team/web/pull/7), [`{shop.tip('web')[:9]}`]" in text
    assert "  - It is @&#8203;faster." in text
    template = shop.folder.folder / "notes.md.j2"
    template.write_text(
        "{% for r in repositories %}{% for c in r.changes %}{{ c.compare | raw }}{% endfor %}{% endfor %}",
        encoding="utf-8",
    )
    text = shop.promote("notes", "web", "--template", str(template), **token).stdout
    assert text.startswith(f"http://{host}/team/web/compare/")


def test_notes_of_a_library(shop: Shop) -> None:
    """By a time, a commit, or a run's id; no cluster is needed."""
    first = shop.tip("library", "stable")
    assert shop.promote("move", "library", "--yes").status == 0
    for between in (first, f"{first}..main", "20200101T000000Z-0000"):
        done = shop.promote("notes", "library", "--between", between, "--output", "json", HOST=None, TOKEN=None)
        if between.startswith("2020"):
            assert done.status == 1 and "stable has no commit before 2020-01-01" in done.stdout
            continue
        assert done.status == 0, done.stderr
        (change,) = done.report["repositories"][0]["changes"]
        assert [commit["subject"] for commit in change["commits"]] == ["Fix library (#7)"]
    assert shop.promote("notes", "library", "--between", "nonsense").status == 2


def test_notes_of_a_commit_that_was_force_pushed_away(shop: Shop) -> None:
    web = shop.folder.origins["web"]
    lost = web.commit("Lost (#9)", "lost", parents=[shop.tip("web", "stable")])
    web._git("config", "uploadpack.allowAnySHA1InWant", "true")
    web.remove("lost")
    shop.build("web", lost)
    assert shop.place.run(PUSHGATEWAY_ADDRESS=None).status == 0
    (change,) = shop.promote("notes", "web", "--output", "json").report["repositories"][0]["changes"]
    assert [commit["subject"] for commit in change["commits"]] == ["Lost (#9)"]
