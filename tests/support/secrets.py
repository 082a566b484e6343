"""Nothing secret in any output: what a job is given to keep to itself is looked for in all that it writes.

Every process of the job that a test starts is watched, whoever starts it. Its environment and arguments tell what is
secret (tokens, passwords, logins in URLs, those of its kubeconfig, its service account and its promote.toml). They are
looked for in what it writes, in its termination message, and in what clusters and Pushgateways hold in the end. Of
tests that call the job in their own process, what pytest captures is searched, also for the words that they plant.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import yaml

from tests.sandbox.client import IMAGE, Sandbox

# What tests of the job's parts use for a secret.
PLANTED = frozenset({"hunter2", "hidden-word", "planted-password-5b1f"})
# Passwords that nobody wrote into a URL as it should be.
ODD_PASSWORDS = ("it's-planted-1", 'quote"-planted-2', "sl/ash/planted-3", "a space planted-4", "p@ planted?#5")
# What is shorter is found by chance, and no secret.
SHORTEST = 8
# Where a run writes, in each namespace.
WRITTEN = (
    "/api/v1/{}configmaps",
    "/api/v1/{}events",
    f"{IMAGE}/{{}}imagestreams",
    "/apis/coordination.k8s.io/v1/{}leases",
)
_NAME = re.compile(r"(TOKEN|PASSWORD|SECRET)$")
_LOGIN = re.compile(r"://([^/\s@]*)@")
_RECORD = re.compile(r"[A-Z]+ +([\w.]+):[\w.]+:\d+ ")
_IN_QUERY = re.compile(r"\b(?:token|password)=([^&\s]+)")


def secrets_of(environment: Mapping[str, str], arguments: Sequence[str] = (), folder: Path | None = None) -> set[str]:
    """What a process is given to keep to itself, in each form in which it might be told.

    Args:
        environment: its environment.
        arguments: its command line.
        folder: where it is started, if not where the tests are.
    """
    found: set[str] = set()
    for name, value in environment.items():
        if _NAME.search(name):
            found.update(line.strip() for line in value.splitlines())
    # Where the tests put the files of a pod's service account.
    if account := environment.get("SERVICE_ACCOUNT_FOLDER"):
        found.add(_text(Path(account) / "token").strip())
    for text in (*environment.values(), *arguments, _promotion(arguments, folder or Path())):
        for login in _LOGIN.findall(text):
            found.update((login, unquote(login), unquote(login.partition(":")[2])))
        found.update(_IN_QUERY.findall(text))
    user, password = environment.get("PUSHGATEWAY_USERNAME"), environment.get("PUSHGATEWAY_PASSWORD")
    if user and password:
        found.add(f"{user}:{password}")
    if kubeconfig := environment.get("KUBECONFIG"):
        found.update(_of_kubeconfig(Path(kubeconfig)))
    found = {each for each in found if len(each) >= SHORTEST}
    encoded = {base64.b64encode(each.encode(errors="surrogateescape")).decode().rstrip("=") for each in found}
    return found | encoded | {quote(each, safe="", errors="surrogateescape") for each in found}


def _text(file: Path) -> str:
    """What is in a file; nothing where it is not there."""
    return file.read_text(errors="replace") if file.is_file() else ""


def _promotion(arguments: Sequence[str], folder: Path) -> str:
    """The promote.toml of a process, whose URLs may have logins."""
    if "promote" not in arguments:
        return ""
    named = [after for word, after in pairwise(arguments) if word == "--config"]
    named += [word.partition("=")[2] for word in arguments if word.startswith("--config=")]
    return "".join(_text(folder / name) for name in named or ["promote.toml"])


def _of_job(log: str) -> str:
    """The records of the job in what pytest captured of all loggers: those of libraries reach nobody."""
    kept, mine = [], False
    for line in log.splitlines():
        if found := _RECORD.match(line):
            mine = found[1].partition(".")[0] == "job"
        kept += [line] if mine else []
    return "\n".join(kept)


def _of_kubeconfig(file: Path) -> Iterator[str]:
    try:
        users = yaml.safe_load(file.read_text())["users"]
        for each in users:
            yield from (each["user"][key] for key in ("token", "password", "client-key-data") if each["user"].get(key))
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        # A damaged one holds nothing.
        return


class Watch:
    """What is secret so far, and where some of it was found."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.found: list[str] = []
        self.looked_at = 0
        self._files: list[tuple[Path, set[str]]] = []
        # What is asked again for the secrets of a process when it has ended: a pod's token is renewed meanwhile.
        self._processes: dict[int, Callable[[], set[str]]] = {}

    def begun(
        self,
        process: subprocess.Popen[Any],
        command: object,
        environment: Mapping[str, str] | None,
        folder: str | Path | None = None,
    ) -> None:
        """A process was started; whether it is one of the job shows in its command."""
        words = [str(word) for word in command] if isinstance(command, list | tuple) else [str(command)]
        if not any("import-images" in word or word == "job" for word in words):
            return
        given = dict(os.environ if environment is None else environment)
        secrets = secrets_of(given, words, Path(folder or "."))
        self.secrets |= secrets
        self._processes[id(process)] = lambda: secrets | secrets_of(given, words, Path(folder or "."))
        if log := given.get("TERMINATION_LOG"):
            self._files.append((Path(log), secrets))

    def ended(self, process: subprocess.Popen[Any], outputs: Sequence[str | bytes | None]) -> None:
        """What a process wrote was read to its end."""
        known = self._processes.get(id(process))
        secrets = known() if known else set()
        self.secrets |= secrets
        for name, output in zip(("stdout", "stderr"), outputs, strict=True):
            if secrets and output:
                self.search(output.decode(errors="replace") if isinstance(output, bytes) else output, name, secrets)

    def search(self, text: str, where: str, secrets: Iterable[str] | None = None) -> None:
        """Look for some secrets, or all, in a text."""
        self.looked_at += 1
        for secret in self.secrets if secrets is None else secrets:
            at = text.find(secret)
            if at >= 0:
                self.found.append(f"{where}: ...{text[max(0, at - 60) : at + 30]}...")

    def search_captured(self, text: str, where: str) -> None:
        """What the job wrote in the process of a test: nothing tells which secrets it was given."""
        self.search(text, where, self.secrets | PLANTED | secrets_of(os.environ))

    def search_report(self, report: pytest.TestReport) -> None:
        """What pytest captured of a test and nobody read."""
        for name, text in report.sections:
            self.search_captured(_of_job(text) if name.startswith("Captured log") else text, name)

    def search_files(self) -> None:
        """The termination messages of those that have ended."""
        for file, secrets in self._files:
            if file.is_file():
                self.search(file.read_text(errors="replace"), "termination message", secrets)
        self._files.clear()

    def search_sandbox(self, sandbox: Sandbox, namespace: str = "") -> None:
        """What runs have written to a cluster (or one namespace of it), and all that its Pushgateway has."""
        for path in WRITTEN:
            place = path.format(f"namespaces/{namespace}/" if namespace else "")
            self.search(json.dumps(sandbox.items(place, limit="500"), ensure_ascii=False), place)
        if sandbox.pushgateway:
            with urllib.request.urlopen(f"{sandbox.pushgateway}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            told = "\n".join(line for line in text.splitlines() if namespace in line)
            self.search(told, "Pushgateway")

    def check(self) -> None:
        """Fail if something was found since the last time."""
        found, self.found = self.found, []
        assert not found, "something secret was told:\n" + "\n".join(found)


def watch_processes(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    """Let every process that is started from here on be watched."""
    begin, read = subprocess.Popen.__init__, subprocess.Popen.communicate

    def begun(process: subprocess.Popen[Any], args: Any, *more: Any, **options: Any) -> None:
        begin(process, args, *more, **options)
        watch.begun(process, args, options.get("env"), options.get("cwd"))

    def ended(process: subprocess.Popen[Any], *more: Any, **options: Any) -> tuple[Any, Any]:
        outputs = read(process, *more, **options)
        watch.ended(process, outputs)
        return outputs

    patch.setattr(subprocess.Popen, "__init__", begun)
    patch.setattr(subprocess.Popen, "communicate", ended)


def watch_captures(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    """Let everything that a test reads of its own captured output be searched; no report has that any more."""
    read = pytest.CaptureFixture.readouterr

    def searched(capture: pytest.CaptureFixture[Any]) -> Any:
        found = read(capture)
        for text in found:
            watch.search_captured(text.decode(errors="replace") if isinstance(text, bytes) else text, "captured output")
        return found

    patch.setattr(pytest.CaptureFixture, "readouterr", searched)


WATCH = Watch()
