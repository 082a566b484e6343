"""`promote.toml`: its keys, and its mistakes, all reported at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.errors import UsageError
from job.promote.config import Config, Feed, Gate, Monorepo, Repository
from job.promote.config_file import config_from, in_order, read_config
from tests.support.paths import ROOT

FILE = Path("/somewhere/promote.toml")
ONE = '[[repository]]\nname = "worker"\nurl = "https://example.com/worker"\n'


def read(text: str) -> Config:
    return config_from(text, FILE)


def errors(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(text)
    return [error.removeprefix(f"{FILE}: ") for error in caught.value.errors]


def test_defaults() -> None:
    config = read(ONE)
    assert config == Config(
        FILE.parent,
        None,
        "origin",
        (Repository("worker", "https://example.com/worker"),),
    )


def test_everything() -> None:
    config = read(
        """
        clones = "/elsewhere/clones"
        template = "notes.md.j2"
        remote = "upstream"
        [monorepo]
        url = "git@example.com:team/all.git"
        branch = "trunk"
        message = "Promote {names}"
        [forges]
        "git.example.com" = "gitlab"
        [[repository]]
        name = "worker"
        url = "../worker"
        rolling = "devel"
        stable = "production/eu"
        streams = ["worker", "worker-beat:live"]
        after = ["library"]
        submodule = "services/worker/"
        [[repository]]
        name = "library"
        url = "https://example.com/library"
        web = "https://git.example.com/team/library"
        ready = ["./ready", "library"]
        ready_interval = "10s"
        later = true
        checks = true
        """
    )
    assert (config.clones, config.remote) == (Path("/elsewhere/clones"), "upstream")
    assert config.monorepo == Monorepo("git@example.com:team/all.git", "trunk", "Promote {names}")
    assert [repository.name for repository in config.repositories] == ["library", "worker"]
    assert (config.template, config.forges) == (FILE.parent / "notes.md.j2", {"git.example.com": "gitlab"})
    library, worker = config.repositories
    assert library.ready == Gate(("./ready", "library"), 10.0, 3600.0)
    assert (library.later, library.checks, library.page) == (True, True, "https://git.example.com/team/library")
    assert (worker.rolling, worker.stable, worker.submodule) == ("devel", "production/eu", "services/worker")
    assert worker.feeds == (Feed("worker"), Feed("worker-beat", "live"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one table [[repository]]"),
        ("repository = 3", "at least one table [[repository]]"),
        ("repository = [1]", "at least one table [[repository]]"),
        ("[[repository]", "invalid TOML"),
        (ONE + "streems = []", "repository worker: streems: unknown key; did you mean streams?"),
        ("color = true\n" + ONE, "color: unknown key; known keys: clones"),
        ('clones = ""\n' + ONE, "clones: must be a string"),
        ('remote = "a b"\n' + ONE, "remote: 'a b' is not a name such as origin"),
        ('monorepo = "x"\n' + ONE, "monorepo: must be a table"),
        (ONE + "[monorepo]", "[monorepo] url: missing"),
        (ONE + '[monorepo]\nurl = "x"\nbranch = "a b"', "[monorepo] branch: 'a b' is not the name of a branch"),
        ('[[repository]]\nurl = "x"', "repository number 1: name: missing"),
        ('[[repository]]\nname = "../x"\nurl = "x"', "'../x' is not a name of letters"),
        ('[[repository]]\nname = 3\nurl = "x"', "repository number 1: name: must be a string"),
        ('[[repository]]\nname = "worker"', "repository worker: url: missing"),
        (
            '[[repository]]\nname = "worker"\nurl = "--upload-pack=x"',
            "repository worker: url: must not begin with a dash",
        ),
        (ONE + 'rolling = "a..b"', "rolling: 'a..b' is not the name of a branch"),
        (ONE + 'rolling = "-a"', "rolling: '-a' is not the name of a branch"),
        (ONE + 'stable = "x.lock"', "stable: 'x.lock' is not the name of a branch"),
        (ONE + 'rolling = "main"\nstable = "main"', "stable: 'main' is also the rolling branch"),
        (ONE + 'ready = "./ready"', "ready: must be a program and its arguments"),
        (ONE + "ready = []", "ready: must be a program and its arguments"),
        (ONE + 'ready_timeout = "1h"', "ready_timeout: has no effect without ready"),
        (ONE + 'ready = ["x"]\nready_interval = "soon"', "ready_interval: 'soon' is not a duration"),
        (ONE + 'later = "yes"', "later: must be true or false"),
        (ONE + 'web = "https://me:x@github.com/a"', "web: "),
        ('forges = {"git.example.com" = "svn"}\n' + ONE, "forges: must be a table of hosts"),
        (ONE + '[monorepo]\nurl = "x"\nmessage = "{names.x}"', "[monorepo] message: may contain {names}"),
        (ONE + 'streams = "worker"', "streams: must be a list of strings"),
        (ONE + 'streams = ["a:b:c"]', "streams: 'a:b:c' is not STREAM or STREAM:TAG"),
        (ONE + 'streams = ["packit-*"]', "streams: 'packit-*' is not STREAM or STREAM:TAG"),
        (ONE + 'streams = ["a", "a"]', "streams: 'a' is listed twice"),
        (ONE + 'after = ["worker"]', "after: names the repository itself"),
        (ONE + 'after = ["wroker"]', "after: there is no repository 'wroker'; did you mean worker?"),
        (ONE + ONE, "the name is used twice"),
        (ONE + ONE.replace("worker", "Worker"), "repository Worker and worker: the name is used twice"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    found = errors(text)
    assert len(found) == 1, found
    assert message in found[0]


def test_all_mistakes_are_reported_at_once() -> None:
    found = errors('clones = 1\n[[repository]]\nname = "a"\nrolling = ""\n[[repository]]\nurl = "y"\nafter = ["b"]')
    assert [error.partition(": ")[0] for error in found] == [
        "clones",
        "repository a",
        "repository a",
        "repository number 2",
        "repository number 2",
    ]


def test_a_stream_has_one_source() -> None:
    two = ONE + 'streams = ["worker"]\n' + ONE.replace("worker", "other") + 'streams = ["worker", "x:live"]'
    problem = "worker is already fed by worker; only one repository can feed a stream"
    assert errors(two) == [f"repository other: streams: {problem}"]


def test_a_cycle_is_spelled_out() -> None:
    def one(name: str, after: str) -> str:
        return f'[[repository]]\nname = "{name}"\nurl = "x"\nafter = ["{after}"]\n'

    assert errors(one("a", "b") + one("b", "c") + one("c", "b")) == ["after: b comes after c comes after b: a cycle"]


def test_logins_are_not_repeated() -> None:
    text = '[[repository]]\nname = "a"\nurl = "https://me:hunter2@example.com/a\\n"\nsteams = []'
    assert "hunter2" not in "".join(errors(text))
    assert "hunter2" not in repr(read('[[repository]]\nname = "a"\nurl = "https://me:hunter2@example.com/a"'))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; write one"):
        read_config(str(tmp_path / "promote.toml"))
    (tmp_path / "promote.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_config(str(tmp_path / "promote.toml"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(str(tmp_path))


def test_the_example_is_valid() -> None:
    config = read_config(str(ROOT / "examples" / "promote.toml"))
    assert [repository.name for repository in config.repositories] == ["ogr", "packit", "packit-service", "dashboard"]


def test_select() -> None:
    config = read(ONE + ONE.replace("worker", "other"))
    assert [each.name for each in config.select([])] == ["worker", "other"]
    assert [each.name for each in config.select(["other"])] == ["other"]
    with pytest.raises(UsageError, match="'nix' is not a repository"):
        config.select(["nix", "other"])


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_order(pairs: list[tuple[int, int]]) -> None:
    after: dict[int, set[str]] = {number: set() for number in range(8)}
    for one, other in pairs:
        after[one].add(str(other))
    repositories = tuple(Repository(str(n), "x", after=tuple(sorted(after[n]))) for n in range(8))
    ordered, cycle = in_order(repositories)
    assert sorted(ordered, key=lambda each: each.name) == list(repositories)
    if cycle:
        assert cycle[0] == cycle[-1] and len(cycle) > 2
        assert all(other in after[int(one)] for one, other in pairwise(cycle))
    else:
        place = {repository.name: number for number, repository in enumerate(ordered)}
        # A repository that names itself is another mistake.
        assert all(place[o] < place[r.name] for r in repositories for o in r.after if o != r.name)
