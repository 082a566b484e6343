"""Submodules by their URL."""

from __future__ import annotations

import pytest

from job.promote.monorepo import normalized, parse_gitmodules


def entries(*modules: tuple[str, str]) -> str:
    return "".join(
        f"submodule.m{number}.path\n{path}\0submodule.m{number}.url\n{url}\0"
        for number, (path, url) in enumerate(modules)
    )


@pytest.mark.parametrize(
    ("url", "base", "repository"),
    [
        ("https://github.com/team/worker.git", "x", "git@github.com:team/worker"),
        ("git@github.com:team/worker.git", "x", "https://github.com/team/worker/"),
        ("../worker.git", "https://github.com/team/all", "https://github.com/team/worker"),
        ("../worker", "git@github.com:team/all.git", "https://github.com/team/worker"),
        ("../../other/worker", "https://github.com/team/all.git", "https://github.com/other/worker"),
        ("./worker", "/srv/all.git", "/srv/all.git/worker"),
        ("../worker", "/srv/all.git", "/srv/worker.git"),
    ],
)
def test_urls_of_one_repository(url: str, base: str, repository: str) -> None:
    assert parse_gitmodules(entries(("path", url)), base) == {normalized(repository): "path"}


def test_what_is_ambiguous_or_incomplete_is_left_out() -> None:
    twice = entries(("a", "https://github.com/team/worker"), ("b", "git@github.com:team/worker.git"))
    assert parse_gitmodules(twice, "x") == {}
    assert parse_gitmodules("submodule.a.path\nx\0", "x") == {}
    assert parse_gitmodules("", "x") == {}
