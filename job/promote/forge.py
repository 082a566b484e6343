"""The APIs of GitHub and GitLab: the checks of a commit, and the text of a pull request.

A token is sent only to the API of the host that it is for: GITHUB_TOKEN (or GH_TOKEN) to github.com, GITLAB_TOKEN to
gitlab.com, FORGE_TOKEN_HOST to any other host, with its name in capitals and `_` for other characters. No
configuration file can send it elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

from job.domain.records import dataclass, field
from job.domain.secrets import SECRETS
from job.domain.text import clean

TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 2 * 1024 * 1024
_MAX_NOTE = 2000
_NOTE = re.compile(
    r"```release-notes?[ \t]*\r?\n(.*?)\r?\n```|RELEASE NOTES BEGIN[ \t]*\r?\n(.*?)\r?\n[ \t]*RELEASE NOTES END",
    re.DOTALL,
)
_NO_NOTE = frozenset({"", "none", "n/a", "na", "-"})
_GITHUB_FAILED = frozenset({"failure", "timed_out", "cancelled", "action_required", "startup_failure", "error"})
_GITLAB_FAILED = frozenset({"failed", "canceled"})


class ForgeError(Exception):
    """The API did not answer as it should; the message has no token."""


class CheckState(StrEnum):
    """The state of all checks of a commit."""

    NONE = "none"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a commit: their state, how many of how many are done, and a failed one with its page."""

    state: CheckState
    done: int = 0
    total: int = 0
    failed: str = ""
    link: str = ""

    def describe(self) -> str:
        """The state for a person."""
        if self.state is CheckState.FAILED:
            return f"the check {self.failed} failed" + (f": {self.link}" if self.link else "")
        return {CheckState.NONE: "no checks yet", CheckState.PASSED: f"{self.total} checks passed"}.get(
            self.state, f"{self.done} of {self.total} checks done"
        )


def kind_of(web: str, forges: Mapping[str, str]) -> str | None:
    """`github` or `gitlab`, by the host of a repository's page; None for another forge."""
    host = urlsplit(web).netloc.lower()
    if host in forges:
        return forges[host]
    if host == "github.com":
        return "github"
    return "gitlab" if "gitlab" in host else None


@dataclass(frozen=True, slots=True)
class Forge:
    """The API for one repository."""

    kind: str
    api: str
    project: str
    token: str = field(default="", repr=False)

    def checks(self, commit: str) -> Checks:
        """The checks of a commit.

        Raises:
            ForgeError: the API cannot be used.
        """
        if self.kind == "gitlab":
            path = f"projects/{quote(self.project, safe='')}/repository/commits/{commit}/statuses?per_page=100"
            return gitlab_checks(self._get(path))
        runs = self._get(f"repos/{self.project}/commits/{commit}/check-runs?per_page=100")
        return github_checks(runs, self._get(f"repos/{self.project}/commits/{commit}/status?per_page=100"))

    def release_note(self, number: str) -> str | None:
        """The release note in the text of a pull request; None without one.

        Raises:
            ForgeError: the API cannot be used.
        """
        if self.kind == "gitlab":
            answer = self._get(f"projects/{quote(self.project, safe='')}/merge_requests/{number}")
            return release_note(answer.get("description") if isinstance(answer, dict) else None)
        answer = self._get(f"repos/{self.project}/pulls/{number}")
        return release_note(answer.get("body") if isinstance(answer, dict) else None)

    def _get(self, path: str) -> object:
        import urllib3

        headers = {"Accept": "application/json", "User-Agent": "import-images"}
        if self.token:
            headers |= (
                {"PRIVATE-TOKEN": self.token} if self.kind == "gitlab" else {"Authorization": f"Bearer {self.token}"}
            )
        url = f"{self.api}/{path}"
        try:
            with urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS) as pool:
                # No redirect: it could carry the token to another host.
                answer = pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
                content = answer.read(_MAX_BYTES + 1)
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ForgeError(clean(f"{self.api}: {error}")) from None
        if answer.status != 200 or len(content) > _MAX_BYTES:
            raise ForgeError(
                clean(f"{url}: HTTP status {answer.status}" if answer.status != 200 else f"{url}: too large")
            )
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ForgeError(clean(f"{url}: the answer is not JSON")) from None


def forge_of(web: str | None, forges: Mapping[str, str], environment: Mapping[str, str]) -> Forge | None:
    """The API of a repository, by its page; None without a page, or for another forge."""
    kind = kind_of(web, forges) if web else None
    if web is None or kind is None:
        return None
    parts = urlsplit(web)
    host = parts.netloc.lower()
    root = f"{parts.scheme}://{host}"
    if kind == "gitlab":
        api = f"{root}/api/v4"
    else:
        api = "https://api.github.com" if host == "github.com" else f"{root}/api/v3"
    names = {"github.com": ("GITHUB_TOKEN", "GH_TOKEN"), "gitlab.com": ("GITLAB_TOKEN",)}.get(
        host, ("FORGE_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", host.upper()),)
    )
    token = next((environment[name].strip() for name in names if environment.get(name, "").strip()), "")
    SECRETS.add(token)
    return Forge(kind, api, parts.path.strip("/"), token)


def github_checks(runs: object, status: object) -> Checks:
    """The checks in GitHub's answers about check runs and about the combined status."""
    checks = [
        (_text(run, "name"), _text(run, "status") == "completed", _text(run, "conclusion"), _text(run, "html_url"))
        for run in _list(runs, "check_runs")
    ]
    checks += [
        (_text(state, "context"), _text(state, "state") != "pending", _text(state, "state"), _text(state, "target_url"))
        for state in _list(status, "statuses")
    ]
    return _summary(checks, _GITHUB_FAILED)


def gitlab_checks(statuses: object) -> Checks:
    """The checks in GitLab's answer about a commit's statuses; a job that may fail does not count."""
    running = ("created", "pending", "running", "preparing", "waiting_for_resource", "scheduled")
    checks = [
        (
            _text(state, "name"),
            _text(state, "status") not in running,
            _text(state, "status"),
            _text(state, "target_url"),
        )
        for state in (statuses if isinstance(statuses, list) else [])
        if isinstance(state, dict) and not state.get("allow_failure")
    ]
    return _summary(checks, _GITLAB_FAILED)


def _summary(checks: list[tuple[str, bool, str, str]], failures: frozenset[str]) -> Checks:
    done = sum(is_done for _, is_done, _, _ in checks)
    for name, is_done, conclusion, link in checks:
        if is_done and conclusion in failures:
            page = clean(link, 300) if link.startswith(("https://", "http://")) else ""
            return Checks(CheckState.FAILED, done, len(checks), clean(name, 100), page)
    if not checks:
        return Checks(CheckState.NONE)
    return Checks(CheckState.PASSED if done == len(checks) else CheckState.RUNNING, done, len(checks))


def _list(answer: object, key: str) -> list[dict[str, Any]]:
    value = answer.get(key) if isinstance(answer, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(answer: object, key: str) -> str:
    value = answer.get(key) if isinstance(answer, dict) else None
    return value if isinstance(value, str) else ""


def release_note(body: object) -> str | None:
    """The block `release-note` or RELEASE NOTES BEGIN ... END of a text; None without one, or if it says NONE."""
    match = _NOTE.search(body[:200_000]) if isinstance(body, str) else None
    text = (match[1] or match[2] or "").strip()[:_MAX_NOTE] if match else ""
    return None if text.lower() in _NO_NOTE else text
