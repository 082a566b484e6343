"""`promote.toml`: which repositories there are, what they feed, and in which order they go.

All that is wrong with it is told at once, by table and key. A URL may carry a login, so none is ever repeated.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job.domain.errors import UsageError

FILE = "promote.toml"


@dataclass(frozen=True, slots=True)
class Feed:
    """What a repository's images feed: a stream, and its tag where that is not the deployment's."""

    stream: str
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a branch that is worked on and one that production is built from.

    Attributes:
        name: by which it is spoken of, and the name of its clone.
        url: as git takes it; it may carry a login.
        rolling: the branch that is worked on.
        stable: the branch that production images are built from.
        feeds: the streams that its images feed.
        after: the repositories to be done before it.
        submodule: its path in the monorepo; None: its name, if there is such a submodule.
    """

    name: str
    url: str = field(repr=False)
    rolling: str = "main"
    stable: str = "stable"
    feeds: tuple[Feed, ...] = ()
    after: tuple[str, ...] = ()
    submodule: str | None = None


@dataclass(frozen=True, slots=True)
class Monorepo:
    """A repository that has the others as submodules."""

    url: str = field(repr=False)
    branch: str = "main"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file, checked; `repositories` are in an order that respects `after`."""

    folder: Path
    clones: Path
    remote: str
    repositories: tuple[Repository, ...]
    monorepo: Monorepo | None = None

    def chosen(self, names: Sequence[str]) -> tuple[Repository, ...]:
        """The repositories of these names, or all, in order.

        Raises:
            UsageError: there is none of some name.
        """
        known = [repository.name for repository in self.repositories]
        errors = [
            f"{name!r} is no repository of {FILE}; it has {', '.join(known)}" for name in names if name not in known
        ]
        if errors:
            raise UsageError(errors)
        return tuple(each for each in self.repositories if not names or each.name in names)


_TOP = ("clones", "remote", "monorepo", "repository")
_MONOREPO = ("url", "branch")
_REPOSITORY = ("name", "url", "rolling", "stable", "streams", "after", "submodule")
# A folder has this name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
# The parts of `git check-ref-format` that somebody may get wrong.
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[A-Za-z0-9_][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])")
_STREAM = re.compile(r"[a-z0-9][a-z0-9_.-]*(:\w[\w.-]{0,127})?", re.ASCII)


def read_config(path: str | None) -> Config:
    """Read the file, which is `promote.toml` of the current folder where none is named.

    Raises:
        UsageError: with all that is wrong with it.
    """
    file = Path(path or FILE)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        told = "write one (examples/promote.toml shows how), or name it: --config FILE"
        raise UsageError([f"{file}: not there; {told}"]) from None
    except (OSError, ValueError) as error:
        raise UsageError([f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"]) from None
    return config_from(text, file)


def config_from(text: str, file: Path) -> Config:
    """The configuration in a text; paths in it are seen from the file's folder.

    Raises:
        UsageError: with all that is wrong with it.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError([f"{file}: not TOML: {error}"]) from None
    errors: list[str] = []
    top = _Table(data, "", errors)
    top.only(_TOP)
    folder = file.absolute().parent
    clones = top.text("clones", ".promote")
    remote = top.text("remote", "origin", _REMOTE, "a name such as origin")
    repositories = _repositories(data.get("repository"), errors)
    monorepo = _monorepo(data["monorepo"], errors) if "monorepo" in data else None
    errors += _shared(repositories)
    ordered, cycle = in_order(repositories)
    if cycle:
        errors.append(f"after: {' comes after '.join(cycle)}: none of them could be the first")
    if errors:
        raise UsageError([f"{file}: {error}" for error in errors])
    return Config(folder, folder / Path(clones).expanduser(), remote, ordered, monorepo)


class _Table:
    """A table of the file; what is wrong with it goes to `errors`."""

    def __init__(self, data: Mapping[str, Any], called: str, errors: list[str]) -> None:
        self._data = data
        self._called = called
        self._errors = errors

    def wrong(self, key: str, told: str) -> None:
        self._errors.append(f"{self._called}{key}: {told}")

    def only(self, known: Sequence[str]) -> None:
        for key in self._data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.wrong(key, f"not a key of this table; {hint}")

    def text(self, key: str, default: str, expression: re.Pattern[str] | None = None, what: str = "") -> str:
        if key not in self._data:
            return default
        value = self._data[key]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self.wrong(key, "must be a text of one line that is not empty")
            return default
        if expression and not expression.fullmatch(value):
            self.wrong(key, f"{value!r} is not {what}")
            return default
        return value

    def url(self) -> str:
        if "url" not in self._data:
            self.wrong("url", "missing; it takes what git clone takes, such as https://github.com/team/worker")
            return ""
        value = self.text("url", "")
        if value.startswith("-"):
            self.wrong("url", "begins with a dash")
        return value

    def texts(self, key: str, expression: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.wrong(key, 'must be a list of texts, such as ["worker"]')
            return ()
        for each in value:
            if not expression.fullmatch(each):
                self.wrong(key, f"{each!r} is not {what}")
        for each in sorted({each for each in value if value.count(each) > 1}):
            self.wrong(key, f"{each!r} is named twice")
        return tuple(dict.fromkeys(value))


def _monorepo(value: object, errors: list[str]) -> Monorepo | None:
    if not isinstance(value, dict):
        errors.append("monorepo: must be a table: [monorepo], and in it a url")
        return None
    table = _Table(value, "[monorepo] ", errors)
    table.only(_MONOREPO)
    return Monorepo(table.url(), table.text("branch", "main", _BRANCH, "the name of a branch"))


def _repositories(value: object, errors: list[str]) -> tuple[Repository, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        errors.append("repository: there must be at least one table [[repository]], each with a name and a url")
        return ()
    found = []
    for number, data in enumerate(value, 1):
        name = data.get("name")
        table = _Table(data, f"repository {name if isinstance(name, str) else f'number {number}'}: ", errors)
        table.only(_REPOSITORY)
        if name is None:
            table.wrong("name", "missing")
        repository = Repository(
            name=table.text("name", f"number {number}", _NAME, "a name of letters, digits, dots, dashes, underscores"),
            url=table.url(),
            rolling=table.text("rolling", "main", _BRANCH, "the name of a branch"),
            stable=table.text("stable", "stable", _BRANCH, "the name of a branch"),
            feeds=tuple(_feed(each) for each in table.texts("streams", _STREAM, "STREAM or STREAM:TAG")),
            after=table.texts("after", _NAME, "the name of a repository"),
            submodule=table.text("submodule", "-").strip("/") if "submodule" in data else None,
        )
        if repository.rolling == repository.stable:
            table.wrong("stable", f"{repository.stable!r} is the rolling branch, too")
        found.append(repository)
    return tuple(found)


def _feed(text: str) -> Feed:
    stream, _, tag = text.partition(":")
    return Feed(stream, tag or None)


def _shared(repositories: Sequence[Repository]) -> list[str]:
    """What is wrong between repositories."""
    errors = []
    names = [repository.name for repository in repositories]
    folded = [name.lower() for name in names]
    for name in dict.fromkeys(folded):
        if folded.count(name) > 1:
            # Their clones would be one folder where a file system does not mind the case.
            told = sorted(each for each in names if each.lower() == name)
            errors.append(f"repository {' and '.join(told)}: two have this name")
    fed: dict[Feed, str] = {}
    for repository in repositories:
        for other in repository.after:
            if other == repository.name:
                errors.append(f"repository {repository.name}: after: it names itself")
            elif other not in names:
                near = difflib.get_close_matches(other, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
                errors.append(f"repository {repository.name}: after: there is no repository {other!r}; {hint}")
        for feed in repository.feeds:
            if (first := fed.setdefault(feed, repository.name)) != repository.name:
                name = ":".join(filter(None, (feed.stream, feed.tag)))
                errors.append(f"repository {repository.name}: streams: {name} is fed by {first} already")
    return errors


def in_order(repositories: Sequence[Repository]) -> tuple[tuple[Repository, ...], tuple[str, ...]]:
    """The repositories, each after those that it names, otherwise as they are written; and a cycle, if there is one."""
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
