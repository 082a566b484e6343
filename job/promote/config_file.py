"""`promote.toml`: reading and validating it.

All mistakes are reported at once, by table and key. No message repeats a URL, since it may carry a login.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from job.domain.durations import duration
from job.domain.errors import UsageError
from job.domain.suggestions import did_you_mean
from job.promote.config import DEFAULT_MESSAGE, FILE, Config, Feed, Gate, Monorepo, Repository
from job.promote.remote import parse_remote

MAX_BYTES = 1024 * 1024
MAX_REPOSITORIES = 200

_TOP = ("clones", "remote", "template", "forges", "monorepo", "repository")
_MONOREPO = ("url", "branch", "message")
_GATE = ("ready_interval", "ready_timeout")
_REPOSITORY = (
    "name",
    "url",
    "web",
    "rolling",
    "stable",
    "streams",
    "after",
    "submodule",
    "ready",
    *_GATE,
    "later",
    "checks",
)
# It is used as the name of a folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
# The rules of `git check-ref-format` that a mistake may break.
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[A-Za-z0-9_][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])")
_WEB = re.compile(r"https://[\w.:-]+(?:/[\w.~+-]+)+|http://(?:127\.0\.0\.1|localhost):[0-9]+(?:/[\w.~+-]+)+")
_HOST = re.compile(r"[\w.-]+(?::[0-9]+)?", re.ASCII)
_STREAM = re.compile(r"[a-z0-9][a-z0-9_.-]*(:\w[\w.-]{0,127})?", re.ASCII)


def read_config(path: str | None) -> Config:
    """Read a file; without a path `promote.toml` in the current folder.

    Raises:
        UsageError: with all mistakes in it.
    """
    file = Path(path or FILE)
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError([f"{file}: larger than {MAX_BYTES // 1024} KiB"])
        text = content.decode("utf-8")
    except FileNotFoundError:
        fix = "write one (for an example see examples/promote.toml), or name it: --config FILE"
        raise UsageError([f"{file}: does not exist; {fix}"]) from None
    except (OSError, ValueError) as error:
        raise UsageError([f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"]) from None
    return config_from(text, file)


def config_from(text: str, file: Path) -> Config:
    """Parse the text of a file; relative paths in it start at the file's folder.

    Raises:
        UsageError: with all mistakes in it.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError([f"{file}: invalid TOML: {_without_quotation(str(error))}"]) from None
    except (RecursionError, ValueError):
        # Python refuses numbers of thousands of digits by ValueError.
        raise UsageError([f"{file}: invalid TOML: nested too deeply, or a number is too long"]) from None
    errors: list[str] = []
    top = _TableReader(data, "", errors)
    top.allow(_TOP)
    folder = file.absolute().parent
    clones, template = top.path("clones", folder), top.path("template", folder)
    forges = top.forges()
    remote = top.string("remote", "origin", _REMOTE, "a name such as origin")
    repositories = _repositories(data.get("repository"), errors)
    monorepo = _monorepo(data["monorepo"], errors) if "monorepo" in data else None
    errors += _conflicts(repositories)
    ordered, cycle = in_order(repositories)
    if cycle:
        errors.append(f"after: {' comes after '.join(cycle)}: a cycle")
    if errors:
        raise UsageError([f"{file}: {error}" for error in errors])
    return Config(folder, clones, remote, ordered, monorepo, template, forges)


class _TableReader:
    """Reads one table of the file and adds its mistakes to `errors`."""

    def __init__(self, data: Mapping[str, Any], label: str, errors: list[str]) -> None:
        self._data = data
        self._label = label
        self._errors = errors

    def error(self, key: str, message: str) -> None:
        self._errors.append(f"{self._label}{key}: {message}")

    def allow(self, known: Sequence[str]) -> None:
        for key in self._data:
            if key not in known:
                hint = did_you_mean(key, known) or f"; known keys: {', '.join(known)}"
                self.error(key, f"unknown key{hint}")

    def string(self, key: str, default: str, expression: re.Pattern[str] | None = None, what: str = "") -> str:
        if key not in self._data:
            return default
        value = self._data[key]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self.error(key, "must be a string of one line, not empty")
            return default
        if expression and not expression.fullmatch(value):
            self.error(key, f"{value!r} is not {what}")
            return default
        return value

    def path(self, key: str, base: Path) -> Path | None:
        """A file or folder; a relative path starts at `base`. None without the key."""
        if key not in self._data or not (text := self.string(key, "")):
            return None
        try:
            return base / Path(text).expanduser()
        except RuntimeError:
            self.error(key, f"{text!r}: there is no such home folder")
            return None

    def url(self) -> str:
        if "url" not in self._data:
            self.error("url", "missing; anything that git clone accepts, such as https://github.com/team/worker")
            return ""
        value = self.string("url", "")
        if value.startswith("-"):
            self.error("url", "must not begin with a dash")
            return value
        try:
            parse_remote(value, Path())
        except ValueError as error:
            self.error("url", str(error))
        return value

    def boolean(self, key: str) -> bool:
        value = self._data.get(key, False)
        if not isinstance(value, bool):
            self.error(key, "must be true or false")
            return False
        return value

    def forges(self) -> dict[str, str]:
        """The kinds of forges by host."""
        value = self._data.get("forges", {})
        if not isinstance(value, dict) or not all(
            _HOST.fullmatch(host) and kind in ("github", "gitlab") for host, kind in value.items()
        ):
            self.error("forges", 'must be a table of hosts such as "git.example.com" = "gitlab" (or "github")')
            return {}
        return dict(value)

    def gate(self) -> Gate | None:
        """The gate in `ready`, `ready_interval` and `ready_timeout`; None without one."""
        seconds = []
        for key, default in zip(_GATE, ("30s", "1h"), strict=True):
            text = self.string(key, default)
            try:
                seconds.append(duration(text))
            except ValueError as error:
                self.error(key, str(error))
                seconds.append(1.0)
        value = self._data.get("ready")
        if value is None:
            for key in _GATE:
                if key in self._data:
                    self.error(key, "has no effect without ready")
            return None
        is_command = (
            isinstance(value, list) and value and all(isinstance(word, str) and "\0" not in word for word in value)
        )
        if not is_command or not value[0]:
            self.error("ready", 'must be a program and its arguments, such as ["./ready", "worker"]')
            return None
        return Gate(tuple(value), *seconds)

    def strings(self, key: str, expression: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.error(key, 'must be a list of strings, such as ["worker"]')
            return ()
        for word in value:
            if not expression.fullmatch(word):
                self.error(key, f"{word!r} is not {what}")
        for word in sorted({word for word in value if value.count(word) > 1}):
            self.error(key, f"{word!r} is listed twice")
        return tuple(dict.fromkeys(value))


def _monorepo(value: object, errors: list[str]) -> Monorepo | None:
    if not isinstance(value, dict):
        errors.append("monorepo: must be a table [monorepo] with a url")
        return None
    table = _TableReader(value, "[monorepo] ", errors)
    table.allow(_MONOREPO)
    message = table.string("message", DEFAULT_MESSAGE)
    if problem := _message_problem(message):
        table.error("message", problem)
    return Monorepo(table.url(), table.string("branch", "main", _BRANCH, "the name of a branch"), message)


def _message_problem(message: str) -> str | None:
    """What is wrong with the template of a commit's title; None if nothing is."""
    unknown = set(re.findall(r"[{]([^{}]*)[}]", message)) - {"names", "count"}
    rest = re.sub(r"[{](names|count)[}]", "", message)
    return "may contain {names} and {count}, and no other braces" if unknown or "{" in rest or "}" in rest else None


def _repositories(value: object, errors: list[str]) -> tuple[Repository, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(table, dict) for table in value):
        errors.append("repository: at least one table [[repository]] with a name and a url is needed")
        return ()
    if len(value) > MAX_REPOSITORIES:
        errors.append(f"repository: {len(value)} repositories, but at most {MAX_REPOSITORIES} are supported")
        return ()
    repositories = []
    for number, data in enumerate(value, 1):
        name = data.get("name")
        table = _TableReader(data, f"repository {name if isinstance(name, str) else f'number {number}'}: ", errors)
        table.allow(_REPOSITORY)
        if name is None:
            table.error("name", "missing")
        repository = Repository(
            name=table.string(
                "name", f"number {number}", _NAME, "a name of letters, digits, dots, dashes and underscores"
            ),
            url=table.url(),
            web=table.string("web", "", _WEB, "an address such as https://github.com/team/worker") or None,
            rolling=table.string("rolling", "", _BRANCH, "the name of a branch") or None,
            stable=table.string("stable", "stable", _BRANCH, "the name of a branch"),
            feeds=tuple(_feed(feed) for feed in table.strings("streams", _STREAM, "STREAM or STREAM:TAG")),
            after=table.strings("after", _NAME, "the name of a repository"),
            submodule=table.string("submodule", "-").strip("/") if "submodule" in data else None,
            ready=table.gate(),
            later=table.boolean("later"),
            checks=table.boolean("checks"),
        )
        if repository.rolling == repository.stable:
            table.error("stable", f"{repository.stable!r} is also the rolling branch")
        repositories.append(repository)
    return tuple(repositories)


def _feed(text: str) -> Feed:
    stream, _, tag = text.partition(":")
    return Feed(stream, tag or None)


def _without_quotation(message: str) -> str:
    """A parser's message without the text that it quotes, which may be a URL with a login."""
    return re.sub(r"'.*'|\".*\"", "...", message, flags=re.DOTALL)


def _conflicts(repositories: Sequence[Repository]) -> list[str]:
    """Mistakes that concern several repositories."""
    errors = []
    names = [repository.name for repository in repositories]
    folded = [name.lower() for name in names]
    for name in dict.fromkeys(folded):
        if folded.count(name) > 1:
            # Their clones would be one folder on a case-insensitive file system.
            duplicates = sorted(other for other in names if other.lower() == name)
            errors.append(f"repository {' and '.join(duplicates)}: the name is used twice")
    fed: dict[Feed, str] = {}
    for repository in repositories:
        for other in repository.after:
            if other == repository.name:
                errors.append(f"repository {repository.name}: after: names the repository itself")
            elif other not in names:
                hint = did_you_mean(other, names) or f"; known: {', '.join(names)}"
                errors.append(f"repository {repository.name}: after: there is no repository {other!r}{hint}")
        for feed in repository.feeds:
            if (first := fed.setdefault(feed, repository.name)) != repository.name:
                name = ":".join(filter(None, (feed.stream, feed.tag)))
                problem = f"{name} is already fed by {first}; only one repository can feed a stream"
                errors.append(f"repository {repository.name}: streams: {problem}")
    return errors


def in_order(repositories: Sequence[Repository]) -> tuple[tuple[Repository, ...], tuple[str, ...]]:
    """The repositories, each after those in its `after`, otherwise in the file's order; and a cycle, if any."""
    by_name = {repository.name: repository for repository in repositories}
    done: dict[str, Repository] = {}
    path: list[str] = []

    def visit(name: str) -> tuple[str, ...]:
        if name in done or name not in by_name:
            return ()
        if name in path:
            return (*path[path.index(name) :], name)
        path.append(name)
        for other in by_name[name].after:
            if other != name and (cycle := visit(other)):
                return cycle
        path.pop()
        done[name] = by_name[name]
        return ()

    for name in by_name:
        if cycle := visit(name):
            return tuple(repositories), cycle
    return tuple(done.values()), ()
