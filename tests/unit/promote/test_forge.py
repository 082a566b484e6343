"""The answers of GitHub and GitLab about checks and pull requests, and who gets which token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.promote.forge import Checks, CheckState, forge_of, github_checks, gitlab_checks, kind_of, release_note

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["check_runs", "statuses", "status", "state", "name", "conclusion", "html_url"]), inner
        )
    ),
    max_leaves=12,
)


def run(name: str, status: str, conclusion: str | None = None) -> dict[str, object]:
    return {"name": name, "status": status, "conclusion": conclusion, "html_url": f"https://github.com/x/{name}"}


def test_github() -> None:
    assert github_checks({"check_runs": []}, {"statuses": []}) == Checks(CheckState.NONE)
    done, running = run("lint", "completed", "success"), run("build", "in_progress")
    assert github_checks({"check_runs": [done, running]}, {}).describe() == "1 of 2 checks done"
    skipped = run("docs", "completed", "skipped")
    assert github_checks({"check_runs": [done, skipped]}, {}).describe() == "2 checks passed"
    failed = run("build", "completed", "failure")
    assert github_checks({"check_runs": [done, failed, running]}, {}).describe() == (
        "the check build failed: https://github.com/x/build"
    )
    status = {"statuses": [{"context": "copr", "state": "error", "target_url": "javascript:x"}]}
    assert github_checks({"check_runs": [done]}, status).describe() == "the check copr failed"
    status = {"statuses": [{"context": "copr", "state": "pending"}]}
    assert github_checks({"check_runs": [done]}, status).state is CheckState.RUNNING


def test_gitlab() -> None:
    jobs = [{"name": "lint", "status": "success"}, {"name": "build", "status": "running"}]
    assert gitlab_checks([]).state is CheckState.NONE
    assert gitlab_checks(jobs).describe() == "1 of 2 checks done"
    failed = {"name": "test", "status": "failed", "target_url": "https://gitlab.com/x"}
    assert gitlab_checks([*jobs, failed]).describe() == "the check test failed: https://gitlab.com/x"
    assert gitlab_checks([*jobs, {**failed, "allow_failure": True}]).state is CheckState.RUNNING


@given(JSON, JSON)
def test_any_answer(one: object, other: object) -> None:
    for checks in (github_checks(one, other), gitlab_checks(one)):
        assert checks.describe().isprintable()
    release_note(one)


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("Text\n```release-note\nPackit can fly.\n```\n", "Packit can fly."),
        ("```release-notes\r\nOne\r\nTwo\r\n```", "One\r\nTwo"),
        ("RELEASE NOTES BEGIN\n\nPackit can fly.\n\nRELEASE NOTES END", "Packit can fly."),
        ("```release-note\nNONE\n```", None),
        ("RELEASE NOTES BEGIN\nN/A\nRELEASE NOTES END", None),
        ("```\nno note\n```", None),
        ("", None),
        (None, None),
    ],
)
def test_release_notes(body: str | None, note: str | None) -> None:
    assert release_note(body) == note


def test_a_token_goes_to_its_own_host_only() -> None:
    environment = {"GITHUB_TOKEN": "hub-token-1", "GITLAB_TOKEN": "lab-token-1"}
    environment["FORGE_TOKEN_GIT_EXAMPLE_COM"] = "own-token-1"
    for web, forges, expected in (
        ("https://github.com/team/worker", {}, ("https://api.github.com", "hub-token-1")),
        ("https://gitlab.com/team/sub/worker", {}, ("https://gitlab.com/api/v4", "lab-token-1")),
        ("https://git.example.com/a", {"git.example.com": "github"}, ("https://git.example.com/api/v3", "own-token-1")),
        ("https://github.com.evil.example/a/b", {"github.com.evil.example": "github"}, None),
        ("https://gitlab.evil.example/a/b", {}, None),
        ("https://evil.example/a/b", {"evil.example": "gitlab"}, None),
    ):
        forge = forge_of(web, forges, environment)
        assert forge is not None
        if expected is None:
            assert forge.token == "" and "evil.example/api/" in forge.api
        else:
            assert (forge.api, forge.token) == expected
            assert forge.token not in repr(forge)
    assert forge_of("https://example.com/a/b", {}, environment) is None
    assert forge_of(None, {}, environment) is None
    assert kind_of("https://github.com/a/b", {}) == "github"
