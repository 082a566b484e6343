"""`promote move` on real repositories: what is pushed, what is refused, and what is reported."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from job.domain.errors import UsageError
from job.domain.states import MoveResult
from job.promote.config_file import read_config
from job.promote.move import MoveOptions, Mover, Outcome
from job.promote.moves import Move, Moved
from job.promote.workspace import Workspace
from job.runtime.shutdown import Stop
from tests.support.forge import GIT, Folder
from tests.support.place import PATIENCE, PROGRAM, ended, started
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a few clones each; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


class Script:
    """A person with prepared answers; before the last one something may happen elsewhere."""

    def __init__(self, *answers: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []
        self.meanwhile = meanwhile

    def ask(self, question: str) -> str:
        self.questions.append(question)
        if not self.answers[1:]:
            self.meanwhile()
        return self.answers.pop(0)


class Shown:
    """What a person sees, as text."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, text: str) -> None:
        self.text += text + "\n"

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        self.text += "".join("  ".join(row) + "\n" for row in rows)

    def page(self, text: str) -> None:
        self.text += text


def mover(folder: Folder, person: Script | None = None, stop: Stop | None = None, **options: bool) -> Mover:
    config = read_config(str(folder.config))
    return Mover(Workspace(config, stop or Stop()), config.repositories, MoveOptions({}, person, **options), Shown())


def by_name(outcome: Outcome) -> dict[str, MoveResult]:
    return {each.name: each.result for each in outcome.results}


def results(document: dict[str, object]) -> dict[str, str]:
    repositories = document["repositories"]
    assert isinstance(repositories, list)
    return {each["repository"]: each["result"] for each in repositories}


@pytest.fixture
def two(folder: Folder) -> Folder:
    """A library and a worker that comes after it; both have commits to promote."""
    for name in ("library", "worker"):
        folder.origin(name)
        folder.origins[name].commit(f"Fix {name} (#7)", author="Jim")
    folder.write(folder.table("worker", 'after = ["library"]\nstreams = ["worker"]'), folder.table("library"))
    return folder


def test_fast_forward_in_order(two: Folder) -> None:
    done = two.promote("move", "--yes", "--output", "table")
    assert done.status == 0, done.stderr
    for origin in two.origins.values():
        assert origin.tip("stable") == origin.tip("main")
    lines = done.stdout.strip().splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["library", "worker"]
    assert all("moved" in line for line in lines[-2:])
    assert "Fix worker (#7) (Jim)" in done.stdout and "pull requests: #7" in done.stdout
    assert "authors: Jim" in done.stdout
    again = two.promote("move", "--yes", "--output", "json")
    assert (again.status, results(again.report)) == (0, {"library": "up_to_date", "worker": "up_to_date"})


def test_nothing_is_pushed_by_a_dry_run(two: Folder) -> None:
    before = {name: origin.tip("stable") for name, origin in two.origins.items()}
    done = two.promote("move", "--dry-run", "--output", "json")
    assert (done.status, results(done.report)) == (0, {"library": "would_move", "worker": "would_move"})
    assert {name: origin.tip("stable") for name, origin in two.origins.items()} == before


def test_the_gate_of_a_repository_that_is_there_is_named_and_starts_only_after_the_yes(two: Folder) -> None:
    assert two.promote("move", "library", "--yes").status == 0
    gate = two.folder / "built"
    gate.write_text("#!/bin/sh\ntouch started\nexit 1\n", encoding="utf-8")
    gate.chmod(0o755)
    two.write(two.table("library", 'ready = ["./built"]'), two.table("worker", 'after = ["library"]'))
    tried = two.promote("move", "--dry-run", "--output", "json")
    assert (tried.status, results(tried.report)) == (0, {"library": "up_to_date", "worker": "would_move"})
    assert not (two.folder / "started").exists()
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (1, {"library": "not_ready", "worker": "behind"})
    assert (two.folder / "started").exists()
    # The person who agrees sees which programs that starts.
    for shown in (tried.stderr, done.stderr):
        assert "already there, then waits for ./built" in " ".join(shown.split())


@slow(WHOLE_RUN)
def test_one_repository_to_a_given_commit(two: Folder) -> None:
    worker = two.origins["worker"]
    chosen = worker.tip("main")
    assert chosen
    worker.commit("Not yet")
    worker.tag("v1", chosen)
    for text in ("nix", "worker=deadbeef", "library=main", "v2", "-x"):
        done = two.promote("move", "worker", "--yes", f"--to={text}")
        assert done.status == 2, (text, done.stderr)
    done = two.promote("move", "worker", "--yes", "--to", chosen[:10])
    assert done.status == 0, done.stderr
    assert worker.tip("stable") == chosen
    assert two.origins["library"].tip("stable") != two.origins["library"].tip("main")
    assert two.promote("move", "--yes", "--to", "worker=v1", "--to", "library=main").status == 0
    assert two.origins["library"].tip("stable") == two.origins["library"].tip("main")


@slow(WHOLE_RUN)
def test_a_commit_that_rolling_does_not_have(two: Folder) -> None:
    worker = two.origins["worker"]
    worker.commit("Elsewhere", "feature", parents=[str(worker.tip("stable"))])
    done = two.promote("move", "worker", "--yes", "--to", "feature")
    assert done.status == 2
    assert "is not on main; to move there anyway: --force" in done.stderr


@pytest.mark.parametrize("arguments", [["--to", "main"], ["--to", "worker="], ["--to", "worker=a", "--to", "worker=b"]])
def test_invalid_targets(two: Folder, arguments: list[str]) -> None:
    done = two.promote("move", "--yes", *arguments)
    assert done.status == 2 and "--to: " in done.stderr


def test_no_terminal(two: Folder) -> None:
    done = two.promote("move")
    assert done.status == 2 and "add --yes" in done.stderr
    assert not (two.folder / ".cache").exists()


@slow(WHOLE_RUN)
def test_a_loss_is_confirmed_at_a_terminal_only(two: Folder) -> None:
    library = two.origins["library"]
    fix = library.commit("Fix it on stable", "stable")
    done = two.promote("move", "--force", "--yes")
    assert done.status == 2
    assert "stable of library loses 1 commit; this must be confirmed at a terminal by typing library" in done.stderr
    assert library.tip("stable") == fix
    # A fast-forward needs no confirmation.
    assert two.promote("move", "worker", "--force", "--yes").status == 0


def test_a_branch_moved_by_another_client_meanwhile(two: Folder) -> None:
    worker, library = two.origins["worker"], two.origins["library"]
    before = str(worker.tip("stable"))
    theirs = worker.commit("Theirs", "theirs", parents=[before])
    person = Script("", "", "y", meanwhile=lambda: worker.move("stable", theirs))
    outcome = mover(two, person).perform()
    assert by_name(outcome) == {"library": MoveResult.MOVED, "worker": MoveResult.FAILED}
    assert worker.tip("stable") == theirs
    assert library.tip("stable") == library.tip("main")
    message = str(next(each.message for each in outcome.results if each.name == "worker"))
    assert f"another client moved it from {before[:12]} in the meantime, it is now at {theirs[:12]}" in message


@slow(WHOLE_RUN)
def test_a_branch_that_was_moved_to_the_same_commit_meanwhile(two: Folder) -> None:
    worker = two.origins["worker"]
    person = Script("", "", "y", meanwhile=lambda: worker.move("stable", str(worker.tip("main"))))
    assert by_name(mover(two, person).perform()) == {"library": MoveResult.MOVED, "worker": MoveResult.MOVED}


def test_a_diverged_branch(two: Folder) -> None:
    library = two.origins["library"]
    fix = library.commit("Fix it on stable", "stable")
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (1, {"library": "failed", "worker": "behind"})
    assert f"it has {fix[:9]}, which" in done.stderr
    assert "worker comes after library, which was not done" in done.stderr
    assert library.tip("stable") == fix
    assert two.origins["worker"].subjects("stable") == ["Begin worker"]


def test_a_diverged_branch_by_force(two: Folder) -> None:
    library = two.origins["library"]
    fix = library.commit("Fix it on stable", "stable")
    for typed in ("", "y", "worker"):
        with pytest.raises(UsageError, match="library: aborted"):
            mover(two, Script("", "", typed), force=True).perform()
        assert library.tip("stable") == fix
    person = Script("library", "y")
    assert by_name(mover(two, person, force=True, yes=True).perform()) == {
        "library": MoveResult.MOVED,
        "worker": MoveResult.MOVED,
    }
    assert person.questions == ["stable of library loses 1 commit. Type library to move it anyway: "]
    assert library.tip("stable") == library.tip("main")


@slow(WHOLE_RUN)
def test_moving_back_takes_force(two: Folder) -> None:
    worker = two.origins["worker"]
    old, new = worker.tip("stable"), worker.tip("main")
    worker.move("stable", str(new))
    done = two.promote("move", "worker", "--yes", "--to", str(old))
    assert done.status == 1
    assert "it is 1 ahead of it; to move it back: --force" in done.stderr
    assert worker.tip("stable") == new


@pytest.mark.parametrize("branch", representatives(["stable", "main"], TAIL))
def test_a_missing_branch(two: Folder, branch: str) -> None:
    two.origins["library"].remove(branch)
    two.write(two.table("worker", 'after = ["library"]'), two.table("library", 'rolling = "main"'))
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (1, {"library": "failed", "worker": "behind"})
    assert f"library: there is no branch {branch}; correct" in done.stderr


@slow(WHOLE_RUN)
def test_rolling_is_the_remotes_head_unless_it_is_configured(two: Folder) -> None:
    library = two.origins["library"]
    new = library.commit("On another branch", "devel", parents=[str(library.tip("main"))])
    library._git("symbolic-ref", "HEAD", "refs/heads/devel")
    assert two.promote("move", "library", "--yes").status == 0
    assert library.tip("stable") == new
    library._git("symbolic-ref", "HEAD", "refs/heads/stable")
    done = two.promote("move", "library", "--yes")
    assert done.status == 1 and "the remote's HEAD is stable itself; set rolling" in done.stderr
    library._git("symbolic-ref", "HEAD", "refs/heads/nothing")
    done = two.promote("move", "library", "--yes")
    assert done.status == 1 and "its HEAD is not a branch; set rolling" in done.stderr


def test_a_branch_that_goes_missing_is_noticed(two: Folder) -> None:
    assert two.promote("move", "--dry-run").status == 0
    two.origins["library"].remove("stable")
    assert "there is no branch stable" in two.promote("move", "--dry-run").stderr


def test_a_protected_branch(two: Folder) -> None:
    two.origins["library"].hook("update", 'echo "error: GH006: Protected branch update failed for $1." >&2; exit 1')
    before = two.origins["worker"].tip("stable")
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (1, {"library": "failed", "worker": "behind"})
    assert "stable was not moved" in done.stderr and "GH006: Protected branch" in done.stderr
    assert two.origins["worker"].tip("stable") == before


@slow(WHOLE_RUN)
def test_pushes_before_a_failure_are_reported(two: Folder) -> None:
    two.origins["worker"].hook("pre-receive", "echo no entry >&2; exit 1")
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (1, {"library": "moved", "worker": "failed"})
    assert "no entry" in done.stderr


@slow(WHOLE_RUN)
def test_a_failure_stops_only_what_depends_on_it(two: Folder) -> None:
    two.origin("other").commit("Fix other")
    with two.config.open("a", encoding="utf-8") as file:
        file.write(two.table("other"))
    two.origins["library"].remove("main")
    done = two.promote("move", "--yes", "--output", "json")
    assert results(done.report) == {"library": "failed", "worker": "behind", "other": "moved"}


@slow(WHOLE_RUN)
def test_a_remote_that_cannot_be_reached(two: Folder) -> None:
    url = "https://me:hunter2@127.0.0.1:1/team/away.git"
    with two.config.open("a", encoding="utf-8") as file:
        file.write(f'[[repository]]\nname = "away"\nurl = "{url}"\n')
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)["away"]) == (1, "failed")
    assert "away: cannot be fetched: " in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "hunter2" not in str(two.clone("away")) + (two.clone("away") / "config").read_text(encoding="utf-8")


@slow(WHOLE_RUN)
def test_answers(two: Folder) -> None:
    worker = two.origins["worker"]
    first = str(worker.tip("main"))
    worker.commit("Not yet")
    person = Script("n", "nix", first[:8], "y")
    outcome = mover(two, person).perform()
    assert by_name(outcome) == {"library": MoveResult.LEFT, "worker": MoveResult.MOVED}
    assert worker.tip("stable") == first
    assert person.questions[-1] == "Push this? [y/N, q back] "
    with pytest.raises(UsageError, match="aborted; nothing was moved"):
        mover(two, Script("", "", "")).perform()
    assert mover(two, Script("n", "no")).perform().exit_status == 0


class Interrupted(Mover):
    """One that gets a signal during its first push."""

    def _push(self, move: Move, results: Mapping[str, Moved]) -> Moved:
        moved = super()._push(move, results)
        self.workspace.stop.request("SIGTERM")
        return moved


def test_a_stop_between_two_pushes(two: Folder) -> None:
    config = read_config(str(two.config))
    options = MoveOptions({}, Script("", "", "y"))
    outcome = Interrupted(Workspace(config, Stop()), config.repositories, options, Shown()).perform()
    assert by_name(outcome) == {"library": MoveResult.MOVED, "worker": MoveResult.STOPPED}
    assert outcome.exit_status == 6
    assert [two.origins[name].subjects("stable")[0] for name in ("library", "worker")] == [
        "Fix library (#7)",
        "Begin worker",
    ]


@slow(WHOLE_RUN)
def test_clones_have_no_contents(two: Folder) -> None:
    assert two.promote("move", "--dry-run").status == 0
    clone = two.clone("worker")
    assert clone.parent.stat().st_mode & 0o077 == 0
    listed = subprocess.run(
        ["git", f"--git-dir={clone}", "rev-list", "--objects", "--all", "--missing=print"],
        env={"PATH": os.environ["PATH"], **GIT},
        capture_output=True,
        text=True,
        check=True,
    )
    # A question mark marks a missing object: here the contents of two files.
    assert len([line for line in listed.stdout.splitlines() if line.startswith("?")]) == 2


def test_variables_of_a_calling_git_are_ignored(two: Folder) -> None:
    done = two.promote("move", "--yes", GIT_DIR="/nowhere", GIT_INDEX_FILE="/nowhere")
    assert done.status == 0, done.stderr


def test_without_git(two: Folder) -> None:
    done = two.promote("move", "--yes", PATH="/nowhere")
    assert done.status == 2
    assert "git: not found on PATH" in done.stderr


@slow(WHOLE_RUN)
def test_a_clone_that_cannot_be_created(two: Folder) -> None:
    (two.folder / ".cache").write_text("", encoding="utf-8")
    done = two.promote("move", "--yes")
    assert done.status == 2 and "clones: " in done.stderr


@slow(WHOLE_RUN)
def test_long_lists_are_shortened(two: Folder) -> None:
    for number in range(60):
        two.origins["worker"].commit(f"Number {number} " + "x" * 120)
    done = two.promote("move", "worker", "--dry-run", "--output", "table")
    assert "and 11 more\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


QUESTION = "(or another commit; n leave, d diff, q back) "
# What is typed at each prompt.
CONVERSATIONS = {
    "yes": ([(QUESTION, b"\n"), (QUESTION, b"\n"), ("q back] ", b"y\n")], 0),
    "no": ([(QUESTION, b"\n"), (QUESTION, b"\n"), ("q back] ", b"\n")], 2),
    "ctrl-c": ([(QUESTION, b"\x03")], 6),
    "ctrl-c-at-the-end": ([(QUESTION, b"\n"), (QUESTION, b"\n"), ("q back] ", b"\x03")], 6),
}


@pytest.mark.parametrize(("typed", "status"), representatives(CONVERSATIONS.values(), TAIL), ids=CONVERSATIONS)
def test_at_a_terminal(two: Folder, typed: list[tuple[str, bytes]], status: int) -> None:
    before = {name: origin.tip("stable") for name, origin in two.origins.items()}
    wanted = {name: origin.tip("main") for name, origin in two.origins.items()}
    primary, secondary = pty.openpty()
    command = [str(PROGRAM), "promote", "move", "--output", "json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(two.folder), **GIT}
    terminal = {"stdin": secondary, "stderr": secondary, "start_new_session": True, "preexec_fn": _take_terminal}
    with started(command, environment, cwd=two.folder, **terminal) as process:
        os.close(secondary)
        for prompt, answer in typed:
            _until(primary, prompt)
            os.write(primary, answer)
        process.communicate(timeout=PATIENCE)
    os.close(primary)
    assert process.returncode == status
    assert {name: origin.tip("stable") for name, origin in two.origins.items()} == (wanted if status == 0 else before)
    assert before != wanted


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _until(terminal: int, text: str) -> str:
    seen, end = "", time.monotonic() + PATIENCE
    while text not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    assert text in seen
    return seen


def test_paths_in_the_configuration_start_at_its_folder(two: Folder, tmp_path: Path) -> None:
    two.write('[[repository]]\nname = "worker"\nurl = "./forge/worker.git"\n')
    two.cwd = tmp_path / "elsewhere"
    two.cwd.mkdir()
    done = two.promote("move", "--yes", "--config", str(two.config))
    assert done.status == 0, done.stderr
    assert two.origins["worker"].subjects("stable")[0] == "Fix worker (#7)"


def test_an_existing_clone_is_a_reference(two: Folder) -> None:
    """Its objects are not fetched; without it the clone is made anew."""
    existing = two.folder / "src" / "worker"
    origin = two.origins["worker"]
    environment = {"PATH": os.environ["PATH"], **GIT}
    subprocess.run(["git", "clone", "--quiet", origin.folder, existing], env=environment, check=True)
    before = str(origin.tip("main"))
    new = origin.commit("New")
    two.write(two.table("worker"), top='clones = "src"')
    done = two.promote("move", "--dry-run", "--output", "json")
    assert (done.status, results(done.report)) == (0, {"worker": "would_move"})
    objects = subprocess.run(
        ["git", f"--git-dir={two.clone('worker')}", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert new in objects and before not in objects
    shutil.rmtree(existing)
    done = two.promote("move", "--yes", "--output", "json")
    assert (done.status, results(done.report)) == (0, {"worker": "moved"})


def test_first_use_in_several_terminals_at_once(two: Folder) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(two.promoting("move", "--dry-run", "--output", "json")) for _ in range(4)]
        done = [ended(process) for process in processes]
    assert [each.status for each in done] == [0] * 4, [each.stderr for each in done]


def test_a_branch_that_is_also_a_tag(two: Folder) -> None:
    worker = two.origins["worker"]
    branch, tag = worker.tip("main"), worker.tip("stable")
    worker.move("v1", str(branch))
    worker.tag("v1", str(tag))
    done = two.promote("move", "worker", "--yes", "--to", "v1")
    assert done.status == 0, done.stderr
    assert "v1 is a branch and a tag; the branch is used (for the tag: tags/v1)" in done.stderr
    assert worker.tip("stable") == branch


@slow("a hundred commits")
def test_numbers_beyond_what_is_shown(two: Folder) -> None:
    library, worker = two.origins["library"], two.origins["worker"]
    for number in range(60):
        worker.commit(f"Fix {number} (#{100 + number})", author=f"Author {number}")
        library.commit(f"Hotfix {number}", "stable")
    done = two.promote("move", "worker", "--dry-run", "--output", "table")
    # Authors and pull requests are of all commits, in bounded lists.
    assert "and 31 more" in done.stdout and "61 commits" in done.stdout
    done = two.promote("move", "library", "--dry-run", "--output", "json")
    assert "and 57 more, which" in done.stderr
    done = two.promote("move", "library", "--force", "--yes")
    assert "stable of library loses 60 commits" in done.stderr


@slow(WHOLE_RUN)
def test_rolling_is_rewritten_before_the_push(two: Folder) -> None:
    worker = two.origins["worker"]
    before, chosen = str(worker.tip("stable")), worker.tip("main")

    def rewrite() -> None:
        worker.commit("Another history", parents=[before])

    outcome = mover(two, Script("", "", "y", meanwhile=rewrite)).perform()
    assert by_name(outcome) == {"library": MoveResult.MOVED, "worker": MoveResult.FAILED}
    assert worker.tip("stable") == before
    assert f"main was rewritten in the meantime and does not contain {str(chosen)[:9]}" in str(
        outcome.results[1].message
    )
    # More commits on top are no rewriting.
    outcome = mover(two, Script("", "y", meanwhile=lambda: worker.commit("More"))).perform()
    assert by_name(outcome)["worker"] is MoveResult.MOVED


def test_an_interrupted_push_that_succeeded(two: Folder) -> None:
    """A signal after the remote has moved the branch, before its answer: the remote is asked."""
    two.origins["worker"].hook("post-receive", f"touch {two.folder}/moved; sleep 5")
    with two.promoting("move", "worker", "--yes", "--output", "json") as process:
        while not (two.folder / "moved").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert results(done.report) == {"worker": "moved"}
    assert "worker: stopped during the push; stable was moved to " in done.stderr
