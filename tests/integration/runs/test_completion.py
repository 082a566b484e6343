"""What the shell offers: commands, flags, and the streams and tags of the cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.support.place import PROGRAM, Place


def offered(line: str, folder: Path, environment: dict[str, str]) -> set[str]:
    """The completions of a command line, asked for as argcomplete's shell function does."""
    request = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash", "COMP_TYPE": "9"}
    point = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "out")}
    process = subprocess.run([PROGRAM], env={**environment, **request, **point}, capture_output=True, timeout=60)
    assert process.stderr == b""
    return {word.strip() for word in (folder / "out").read_text().splitlines()}


def test_the_shell_is_offered_commands_flags_and_tags(place: Place, tmp_path: Path) -> None:
    for name in ("worker", "web"):
        place.imported(name)
    here = place.environment()
    assert offered("import-images ro", tmp_path, here) == {"rollback"}
    assert offered("import-images plan --dep", tmp_path, here) == {"--deployment"}
    assert offered("import-images rollback wo", tmp_path, here) == {"worker", "worker:prod"}
    assert offered("import-images plan --output y", tmp_path, here) == {"yaml"}
    assert offered("import-images run --on-bad-rollout r", tmp_path, here) == {"report", "rollback"}
    assert offered("import-images rollback --run l", tmp_path, here) == {"last"}
    nowhere = {"PATH": os.environ["PATH"], "HOST": "http://127.0.0.1:1", "TOKEN": "x", "NAMESPACE": "x"}
    assert offered("import-images rollback wo", tmp_path, nowhere) == set()


def test_the_shell_is_offered_what_the_program_itself_knows(tmp_path: Path) -> None:
    here = {"PATH": os.environ["PATH"]}
    assert offered("import-images explain rate", tmp_path, here) == {"rate_limited"}
    assert offered("import-images explain pinned ImportImagesTagF", tmp_path, here) == {"ImportImagesTagFailing"}
    assert offered("import-images explain ROLLOUT_S", tmp_path, here) == {"ROLLOUT_STABLE"}
    assert offered("import-images explain schem", tmp_path, here) == {"schema"}
    assert offered("import-images explain schema hist", tmp_path, here) == {"history"}
    assert offered("import-images completion ", tmp_path, here) >= {"bash", "fish", "zsh"}
    assert offered("import-images promote mo", tmp_path, here) == {"move"}
    assert offered("import-images promote move --dry", tmp_path, here) == {"--dry-run"}
    assert offered("import-images promote st", tmp_path, here) == {"status"}


def test_the_shell_is_offered_the_contexts_of_the_kubeconfig_that_is_named(tmp_path: Path) -> None:
    for name, contexts in (("own", ["prod", "stg"]), ("other", ["play"])):
        entries = [{"name": context, "context": {"cluster": "x", "user": "x"}} for context in contexts]
        (tmp_path / name).write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "contexts": entries}))
    here = {"PATH": os.environ["PATH"], "KUBECONFIG": str(tmp_path / "own")}
    assert offered("import-images run --context ", tmp_path, here) == {"prod", "stg"}
    assert offered(f"import-images run --kubeconfig {tmp_path / 'other'} --context ", tmp_path, here) == {"play"}


def test_the_shell_is_offered_the_repositories_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text(
        "".join(f'[[repository]]\nname = "{name}"\nurl = "https://x.org/{name}"\n' for name in ("one", "two"))
    )
    here = {"PATH": os.environ["PATH"]}
    assert offered(f"import-images promote move --config {config} t", tmp_path, here) == {"two"}
    assert offered("import-images promote move t", tmp_path, here) == set()
