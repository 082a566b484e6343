"""The monorepo: one commit records the moves as submodule commits, even while others push there."""

from __future__ import annotations

import pytest

from tests.support.forge import Folder, Origin


@pytest.fixture
def all_in_one(folder: Folder) -> Folder:
    """A monorepo with two submodules, and a third repository that is not a submodule."""
    for name in ("library", "worker", "other"):
        folder.origin(name)
        folder.origins[name].commit(f"Fix {name}")
    mono = folder.origins["mono"] = Origin(folder.folder / "forge" / "mono.git")
    mono.submodules({f"{name}": str(folder.origins[name].tip("stable")) for name in ("library", "worker")})
    folder.write(
        folder.table("library"),
        folder.table("worker", 'submodule = "worker"'),
        folder.table("other"),
        f'[monorepo]\nurl = "{folder.folder}/forge/mono.git"',
    )
    return folder


def test_one_commit_for_all(all_in_one: Folder) -> None:
    mono = all_in_one.origins["mono"]
    done = all_in_one.promote("move", "--yes", "--output", "json")
    assert done.status == 0, done.stderr
    for name in ("library", "worker"):
        assert mono.submodule(name) == all_in_one.origins[name].tip("main")
    assert mono.subjects("main") == ["Move 2 submodules to stable", "Add submodules"]
    assert mono.paths() == ["README", "library", "worker"]
    assert done.report["monorepo"] == {"commit": mono.tip("main"), "message": None}
    again = all_in_one.promote("move", "--yes", "--output", "json")
    assert again.status == 0
    assert again.report["monorepo"] == {"commit": None, "message": None}


def test_only_selected_repositories(all_in_one: Folder) -> None:
    mono = all_in_one.origins["mono"]
    assert all_in_one.promote("move", "worker", "--yes").status == 0
    assert mono.submodule("worker") == all_in_one.origins["worker"].tip("main")
    assert mono.submodule("library") == all_in_one.origins["library"].tip("stable")
    assert mono.subjects("main")[0] == "Move worker to stable"


def test_a_dry_run_records_nothing(all_in_one: Folder) -> None:
    before = all_in_one.origins["mono"].tip("main")
    done = all_in_one.promote("move", "--dry-run", "--output", "table")
    assert done.status == 0, done.stderr
    assert "and in the monorepo the commits of library, worker" in done.stdout
    assert all_in_one.origins["mono"].tip("main") == before


def test_another_client_pushes_at_the_same_time(all_in_one: Folder) -> None:
    mono = all_in_one.origins["mono"]
    tree = mono._git("rev-parse", "main^{tree}")
    theirs = mono.commit("Theirs", "theirs", parents=[str(mono.tip("main"))], tree=tree)
    # The first push meets a branch that has just moved.
    mono.hook("pre-receive", f"[ -e once ] || {{ touch once; echo {theirs} > refs/heads/main; exit 1; }}")
    done = all_in_one.promote("move", "--yes")
    assert done.status == 0, done.stderr
    assert mono.subjects("main") == ["Move 2 submodules to stable", "Theirs", "Add submodules"]


def test_a_refused_record_is_reported_and_made_up_for_later(all_in_one: Folder) -> None:
    mono = all_in_one.origins["mono"]
    mono.hook("pre-receive", "echo closed >&2; exit 1")
    done = all_in_one.promote("move", "--yes", "--output", "json")
    assert done.status == 1
    assert {each["result"] for each in done.report["repositories"]} == {"moved"}
    assert "closed" in done.report["monorepo"]["message"]
    assert "run the same command again" in done.stderr
    mono.hook("pre-receive", "exit 0")
    done = all_in_one.promote("move", "--yes", "--output", "json")
    assert done.status == 0, done.stderr
    assert {each["result"] for each in done.report["repositories"]} == {"up_to_date"}
    assert mono.submodule("worker") == all_in_one.origins["worker"].tip("stable")


def test_a_wrong_submodule_is_found_before_anything_is_moved(all_in_one: Folder) -> None:
    text = all_in_one.config.read_text(encoding="utf-8").replace('"worker"\n\n', '"README"\n\n')
    all_in_one.config.write_text(text.replace('submodule = "worker"', 'submodule = "README"'), encoding="utf-8")
    before = all_in_one.origins["library"].tip("stable")
    done = all_in_one.promote("move", "--yes")
    assert done.status == 1
    assert "README is not a submodule; correct submodule of worker" in done.stderr
    assert all_in_one.origins["library"].tip("stable") == before


@pytest.mark.parametrize(("old", "new"), [('/mono.git"', '/nix.git"'), ('/mono.git"', '/mono.git"\nbranch = "nix"')])
def test_a_missing_monorepo(all_in_one: Folder, old: str, new: str) -> None:
    text = all_in_one.config.read_text(encoding="utf-8").replace(old, new)
    all_in_one.config.write_text(text, encoding="utf-8")
    before = all_in_one.origins["library"].tip("stable")
    done = all_in_one.promote("move", "--yes")
    assert done.status == 1 and "monorepo: " in done.stderr
    assert all_in_one.origins["library"].tip("stable") == before


def test_no_author_for_the_commit(all_in_one: Folder) -> None:
    nobody = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    kept = {"GIT_COMMITTER_NAME": "", "GIT_COMMITTER_EMAIL": ""}
    done = all_in_one.promote("move", "--yes", **nobody, **kept)
    assert done.status == 1
    assert "no author for the commit" in done.stderr
    assert all_in_one.origins["library"].subjects("stable") == ["Begin library"]


def test_submodules_are_found_by_their_url(folder: Folder) -> None:
    for name in ("library", "worker", "other"):
        folder.origin(name).commit(f"Fix {name}")
    mono = folder.origins["mono"] = Origin(folder.folder / "forge" / "mono.git")
    stable = {name: str(folder.origins[name].tip("stable")) for name in ("library", "worker")}
    modules = '[submodule "x"]\n\tpath = services/worker\n\turl = ../worker\n'
    modules += f'[submodule "y"]\n\tpath = lib\n\turl = {folder.folder}/forge/library.git/\n'
    mono.tree({"services/worker": stable["worker"], "lib": stable["library"]}, modules)
    folder.write(
        *(folder.table(name) for name in ("library", "worker", "other")),
        f'[monorepo]\nurl = "{folder.folder}/forge/mono.git"\nmessage = "Promote {{count}}: {{names}}"',
    )
    done = folder.promote("move", "--yes", "--output", "json")
    assert done.status == 0, done.stderr
    assert mono.submodule("services/worker") == folder.origins["worker"].tip("main")
    assert mono.submodule("lib") == folder.origins["library"].tip("main")
    assert mono.subjects("main")[0] == "Promote 2: 2 submodules"
    assert "monorepo: no submodule of other, so their moves are not recorded there" in done.stderr
