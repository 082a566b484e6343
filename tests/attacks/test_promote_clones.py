"""Prepared clones, configurations and environments that would make git run a program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from job.promote.cache import CloneFolder, cache_root
from job.promote.environment import git_environment
from tests.support.forge import GIT, Folder

TRAP = "touch {mark}; git-upload-pack"


@pytest.fixture
def mark(folder: Folder) -> Path:
    """The file that a program of the attacker creates."""
    return folder.folder / "OWNED"


def git(*arguments: str | Path) -> None:
    subprocess.run(["git", *map(str, arguments)], env={"PATH": os.environ["PATH"], **GIT}, check=True)


def test_a_clone_that_a_repository_brings_along_is_not_used(folder: Folder, mark: Path) -> None:
    """The folder beside promote.toml, where clones were before: with a program as the remote's upload-pack."""
    prepared = folder.folder / ".promote" / "worker.git"
    git("init", "--quiet", "--bare", prepared)
    git("-C", prepared, "config", "remote.origin.uploadpack", TRAP.format(mark=mark))
    git("-C", prepared, "config", "core.fsmonitor", f"touch {mark}")
    for top in ("", 'clones = ".promote"'):
        folder.write(folder.table("worker"), top=top)
        assert folder.promote("status", "--output", "json").status == 0
        assert folder.promote("move", "--dry-run").status == 0
        shutil.rmtree(folder.folder / ".cache")
    assert not mark.exists()


def _config(clone: Path, mark: Path) -> None:
    with (clone / "config").open("a", encoding="utf-8") as file:
        file.write(f'[remote "origin"]\n\tuploadpack = "{TRAP.format(mark=mark)}"\n')


def _include(clone: Path, mark: Path) -> None:
    (clone / "more").write_text(f'[remote "origin"]\n\tuploadpack = "{TRAP.format(mark=mark)}"\n', encoding="utf-8")
    with (clone / "config").open("a", encoding="utf-8") as file:
        file.write("[include]\n\tpath = more\n")


def _hook(clone: Path, mark: Path) -> None:
    (clone / "hooks").mkdir()
    for name in ("pre-push", "reference-transaction", "post-checkout", "pre-auto-gc"):
        hook = clone / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n", encoding="utf-8")
        hook.chmod(0o755)


def _common_folder(clone: Path, mark: Path) -> None:
    other = clone.parent.parent / "other"
    shutil.copytree(clone, other)
    _config(other, mark)
    _hook(other, mark)
    (clone / "commondir").write_text(str(other), encoding="utf-8")


def _alternates(clone: Path, mark: Path) -> None:
    other = clone.parent.parent / "other.git"
    shutil.copytree(clone, other)
    _config(other, mark)
    (clone / "objects" / "info").mkdir(exist_ok=True)
    (clone / "objects" / "info" / "alternates").write_text(f"{other}/objects\n", encoding="utf-8")


def _symbolic_link(clone: Path, mark: Path) -> None:
    other = clone.parent.parent / "other.git"
    clone.rename(other)
    _config(other, mark)
    clone.symlink_to(other)


def _writable(clone: Path, mark: Path) -> None:
    _config(clone, mark)
    clone.chmod(0o777)


@pytest.mark.parametrize(
    "damage",
    [_config, _include, _hook, _common_folder, _alternates, _symbolic_link, _writable],
    ids=lambda each: each.__name__.strip("_"),
)
def test_a_changed_clone_is_made_anew(folder: Folder, mark: Path, damage: Callable[[Path, Path], None]) -> None:
    assert folder.promote("status", "--output", "json").status == 0
    clone = folder.clone("worker")
    damage(clone, mark)
    changed = CloneFolder(clone, "origin")
    assert changed.problem() is not None
    done = folder.promote("move", "--yes", "--output", "json")
    assert done.status == 0, done.stderr
    assert not mark.exists()
    assert changed.problem() is None and not clone.is_symlink()


def test_a_cache_that_others_can_write_to_is_refused(folder: Folder) -> None:
    root = folder.folder / ".cache" / "import-images"
    root.mkdir(parents=True)
    root.chmod(0o777)
    done = folder.promote("status", "--output", "json")
    assert done.status == 2
    assert "can be written by other users; remove it, or set XDG_CACHE_HOME" in done.stderr


def test_the_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = cache_root()
    assert root.stat().st_mode & 0o777 == 0o700 and root.parent.stat().st_mode & 0o777 == 0o700
    folder = CloneFolder(root / "a.git", "origin")
    folder.ensure()
    assert folder.problem() is None
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert folder.problem() == "belongs to another user"
    with pytest.raises(Exception, match="belongs to another user"):
        cache_root()


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch OWNED'", "ext::touch%20OWNED", "fd::17", "-u./OWNED", "foo::bar", "file::/x"]
)
def test_addresses_that_are_programs(folder: Folder, mark: Path, url: str) -> None:
    folder.config.write_text(f'[[repository]]\nname = "worker"\nurl = "{url}"\n', encoding="utf-8")
    done = folder.promote("status", "--output", "json")
    assert done.status == 2 and "url: must " in done.stderr
    assert not mark.exists()


def test_a_rewritten_address_is_not_a_program_either(folder: Folder, mark: Path) -> None:
    """The user's own `insteadOf` must not open what a repository may choose."""
    settings = folder.folder / "gitconfig"
    settings.write_text(
        '[url "ext::"]\n\tinsteadOf = "https://run/"\n[protocol "ext"]\n\tallow = always\n', encoding="utf-8"
    )
    folder.config.write_text(
        f'[[repository]]\nname = "worker"\nurl = "https://run/touch% {mark}"\n'.replace("% ", "% "), encoding="utf-8"
    )
    done = folder.promote("status", "--output", "json", GIT_CONFIG_GLOBAL=str(settings))
    assert done.status == 1 and "transport 'ext' not allowed" in done.stderr
    assert not mark.exists()


def test_only_the_global_pre_push_hook_runs(folder: Folder, mark: Path) -> None:
    """The user's own check before a push is respected; hooks of a template are not copied into the clone."""
    hooks, template = folder.folder / "hooks", folder.folder / "template"
    own = folder.folder / "own"
    for place, name, file in ((hooks, "pre-push", own), (template / "hooks", "reference-transaction", mark)):
        place.mkdir(parents=True)
        (place / name).write_text(f"#!/bin/sh\ntouch {file}\n", encoding="utf-8")
        (place / name).chmod(0o755)
    settings = folder.folder / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {template}\n", encoding="utf-8")
    assert folder.promote("status", "--output", "json", GIT_CONFIG_GLOBAL=str(settings)).status == 0
    assert not own.exists()
    assert folder.promote("move", "--yes", GIT_CONFIG_GLOBAL=str(settings)).status == 0
    assert own.exists() and not mark.exists()


def test_no_tag_is_pushed_along(folder: Folder) -> None:
    origin = folder.origins["worker"]
    settings = folder.folder / "gitconfig"
    settings.write_text("[push]\n\tfollowTags = true\n", encoding="utf-8")
    assert folder.promote("status", "--output", "json").status == 0
    git(f"--git-dir={folder.clone('worker')}", "tag", "-a", "-m", "x", "planted", str(origin.tip("main")))
    assert folder.promote("move", "--yes", GIT_CONFIG_GLOBAL=str(settings)).status == 0
    assert origin._git("tag") == ""


def test_git_gets_neither_our_secrets_nor_another_repository() -> None:
    inherited = {
        "PATH": "/bin",
        "SSH_AUTH_SOCK": "/run/agent",
        "GIT_SSH_COMMAND": "ssh -i key",
        "GIT_AUTHOR_NAME": "Jane",
        "TOKEN": "hidden-word",
        "PUSHGATEWAY_PASSWORD": "hidden-word",
        "PUSHGATEWAY_TOKEN": "hidden-word",
        "GIT_DIR": "/nowhere",
        "GIT_WORK_TREE": "/nowhere",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere",
        "GIT_CONFIG_PARAMETERS": "'core.sshCommand=touch OWNED'",
        "GIT_TEMPLATE_DIR": "/nowhere",
        "GIT_EXTERNAL_DIFF": "touch OWNED",
        "GIT_TRACE_CURL": "/tmp/trace",
    }
    environment = git_environment(inherited, [("core.hooksPath", "/dev/null")], has_terminal=False)
    assert environment == {
        **{name: inherited[name] for name in ("PATH", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME")},
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/dev/null",
    }


def test_a_git_that_hangs_is_ended(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote that accepts the connection and never answers."""
    from job.promote import git as module
    from job.promote.clone import clone_of
    from job.promote.config_file import read_config
    from job.promote.errors import GitError

    monkeypatch.setenv("HOME", str(folder.folder))
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 20;")
    monkeypatch.setattr(module, "NETWORK_SECONDS", 1.0)
    clone = clone_of(read_config(str(folder.config)), "worker", "ssh://git@example.com/worker", lambda: False)
    with pytest.raises(GitError, match="worker: cannot be fetched: git fetch was ended after 1 s"):
        clone.fetch()
