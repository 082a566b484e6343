"""What SECURITY.md promises: no shell, TLS, nothing secret told, every right explained, an inventory."""

from __future__ import annotations

import ast
import json
import os
import re
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.integration.runs.conftest import sandbox as sandbox
from tests.integration.test_requirements import PROJECT, pinned
from tests.sandbox.client import Sandbox
from tests.sandbox.programs import make_certificate
from tests.support.paths import MANIFESTS, ROOT
from tests.support.place import PROGRAM, Place
from tests.support.pods import JOURNAL, journal
from tests.support.rights import RUN, without
from tests.support.secrets import WATCH, Watch, secrets_of, watch_processes
from tests.support.servers import serving
from tests.support.tiers import slow

BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint"}
MODULES = {
    *("pickle", "marshal", "shelve", "dbm", "xml", "pty", "ctypes", "telnetlib", "ftplib"),
    # By these any of the others could be had under another name.
    *("builtins", "importlib", "runpy", "code", "posix"),
}
ATTRIBUTES = {
    "os": {
        "system",
        "popen",
        "startfile",
        *(name for name in dir(os) if name.startswith(("exec", "spawn", "posix_spawn"))),
    },
    "subprocess": {"getoutput", "getstatusoutput", "call", "check_call", "check_output"},
    "yaml": {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"},
    "tempfile": {"mktemp"},
    "ssl": {"_create_unverified_context", "_create_stdlib_context", "CERT_NONE", "CERT_OPTIONAL"},
}
KEYWORDS = {"shell", "verify", "cert_reqs", "assert_hostname", "check_hostname"}
# What turns verification off; the one place that may do so is held by a test of its own.
SWITCHES = KEYWORDS | {"verify_ssl", "verify_mode"}
SOURCES = sorted((ROOT / "job").rglob("*.py"))


def imported(tree: ast.AST) -> dict[str, str]:
    """What the names that a module imports stand for: `{"s": "subprocess"}` for `import subprocess as s`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.partition(".")[0]
                found[each.asname or first] = each.name if each.asname else first
        elif isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: f"{node.module or ''}.{each.name}" for each in node.names}
    return found


def meant(node: ast.AST, names: dict[str, str]) -> str:
    """The full name that an expression stands for, such as `os.path.join`; empty where it is not a name."""
    if isinstance(node, ast.Attribute):
        owner = meant(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def offences(tree: ast.AST) -> Iterator[str]:
    """What a module of the job must not hold."""
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            for each in node.names:
                name = f"{module}.{each.name}" if module else each.name
                if name.partition(".")[0] in MODULES or (each.name == "*" and module in ATTRIBUTES):
                    yield f"{node.lineno}: import {name}"
                elif each.name in ATTRIBUTES.get(module, ()):
                    yield f"{node.lineno}: from {module} import {each.name}"
        elif isinstance(node, ast.Name | ast.Attribute):
            name = meant(node, names)
            module, _, last = name.rpartition(".")
            if name in BUILTINS or last in ATTRIBUTES.get(module, ()) or name.startswith(("builtins.", "__builtins__")):
                yield f"{node.lineno}: {name}"
        elif isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {each.arg}=" for each in node.keywords if each.arg in KEYWORDS)
            texts = {each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)}
            if isinstance(node.func, ast.Name) and node.func.id in ("setattr", "getattr", "delattr"):
                modules = {meant(each, names) for each in node.args} & {*ATTRIBUTES, "builtins", "__builtins__"}
                yield from (f"{node.lineno}: {node.func.id} {each}" for each in (texts & SWITCHES) | modules)


@pytest.mark.parametrize("source", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_shell_no_eval_no_pickle(source: Path) -> None:
    found = list(offences(ast.parse(source.read_text(encoding="utf-8"))))
    # The one place of test_only_one_place_turns_verification_off.
    allowed = ["ssl.CERT_NONE"] if source.name == "login.py" else []
    assert [offence.partition(": ")[2] for offence in found] == allowed


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "import pickle",
        "from xml.etree import ElementTree",
        "import os\nos.system('ls')",
        "os.execvp('ls', [])",
        "subprocess.run('ls', shell=True)",
        "import yaml\nyaml.load('')",
        "requests.get('', verify=False)",
        "from os import system",
        "from os import system as fine",
        "from os import *",
        "from subprocess import getoutput",
        "from yaml import load",
        "import builtins\nbuiltins.eval('1')",
        "__builtins__.eval('1')",
        "run = eval",
        "import subprocess as s\ns.getoutput('ls')",
        "import subprocess\nrun = subprocess.getoutput",
        "from importlib import import_module",
        "from ssl import CERT_NONE",
        "import ssl as tls\ncontext.verify_mode = tls.CERT_NONE",
        "setattr(c, 'verify_ssl', False)",
        "import os\ngetattr(os, name)('ls')",
    ],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert list(offences(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["import os\nos.path.join('a', 'b')", "import re\nre.compile('a')", "self.call()", "getattr(each, 'name', None)"],
)
def test_what_is_harmless_is_let_through(code: str) -> None:
    assert not list(offences(ast.parse(code)))


def switched(text: str) -> list[str]:
    """The lines that set an attribute by which verification is turned off."""
    lines = text.splitlines()
    return [
        lines[node.lineno - 1].strip()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in SWITCHES
    ]


def test_only_one_place_turns_verification_off() -> None:
    assert switched("context.check_hostname: bool=False") and switched("a.b, c.verify_ssl = 1, 0")
    found = [(file.name, line) for file in SOURCES for line in switched(file.read_text(encoding="utf-8"))]
    off = ["context.check_hostname = False", "context.verify_mode = ssl.CERT_NONE"]
    assert found == [("login.py", line) for line in off]
    # It does so only where it is asked to.
    assert "    if not verified:\n" + "".join(f"        {line}\n" for line in off) in (
        ROOT / "job" / "cluster" / "login.py"
    ).read_text(encoding="utf-8")


def test_the_rules_of_bandit_are_on() -> None:
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert {rule for rule in lint["ignore"] if re.match(r"S\d", rule)} == {"S101", "S311"}
    assert all("S" not in rules for where, rules in lint["per-file-ignores"].items() if not where.startswith("tests"))
    excepted = {
        (file.relative_to(ROOT).as_posix(), rule)
        for file in SOURCES
        for rules in re.findall(r"noqa: (S[0-9]+(?:, S[0-9]+)*)", file.read_text(encoding="utf-8"))
        for rule in rules.split(", ")
    }
    assert excepted == {
        # The folder in memory; mkstemp chooses the name in it.
        ("job/cluster/oc/kubeconfig.py", "S108"),
        # Programs that the user names or has: git, a gate, a pager.
        ("job/promote/gates.py", "S603"),
        ("job/promote/git.py", "S603"),
        ("job/promote/pager.py", "S603"),
        ("job/promote/pager.py", "S607"),
    }


# TLS


def kubeconfig(place: Place, folder: Path) -> Path:
    """The one of the sandbox, but that it asks for no verification."""
    config = yaml.safe_load(place.sandbox.kubeconfig(place.token, place.namespace).read_text())
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["insecure-skip-tls-verify"] = True
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize("client", ["api", "oc"])
def test_a_kubeconfig_that_turns_verification_off_is_warned_of(
    sandbox: Sandbox, tmp_path: Path, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where kubectl is.
    monkeypatch.setenv("PATH", f"{PROGRAM.parent}:{os.environ['PATH']}")
    place = Place(sandbox)
    place.imported("app")
    given = {"HOST": None, "TOKEN": None, "KUBECONFIG": str(kubeconfig(place, tmp_path)), "HOME": str(tmp_path)}
    done = place.run(CLIENT=client, **given)
    assert done.status == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "TLS" in line]
    assert line.startswith("import-images: warning: TLS VERIFICATION IS OFF")
    asked = place.run("--insecure-skip-tls-verify", CLIENT=client, **given)
    assert asked.stderr.count("TLS VERIFICATION IS OFF") == 1


def test_the_setting_is_not_for_the_pushgateway(sandbox: Sandbox, tmp_path: Path) -> None:
    place = Place(sandbox)
    place.imported("app")
    made = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.file, made.key)
    with serving(sandbox.pushgateway, tls=context) as server:
        url = f"https://{server.address}"
        done = place.run("--insecure-skip-tls-verify", HOST=sandbox.secure_server, PUSHGATEWAY_ADDRESS=url)
        assert server.asked == []
    assert "certificate" in done.stderr
    assert "were not pushed" in done.stderr


def test_what_goes_unencrypted_over_a_network_is_warned_of(sandbox: Sandbox) -> None:
    place = Place(sandbox)
    place.imported("app")
    api = place.run(HOST="http://api.example.invalid", RETRIES="0")
    assert api.status == 3
    assert "warning: NO TLS to http://api.example.invalid" in api.stderr
    gateway = place.run(PUSHGATEWAY_ADDRESS="http://gateway.example.invalid:9091", RETRIES="0")
    assert gateway.status == 0
    assert "warning: NO TLS to http://gateway.example.invalid:9091" in gateway.stderr
    # Nothing secret goes there.
    nothing = place.run(
        PUSHGATEWAY_ADDRESS="http://gateway.example.invalid:9091", PUSHGATEWAY_USERNAME="", PUSHGATEWAY_PASSWORD=""
    )
    assert (nothing.status, "NO TLS" in nothing.stderr) == (0, False), nothing.stderr
    # Nor over a network where it stays on one machine.
    assert "NO TLS" not in place.run().stderr


# Nothing secret


def test_secrets_are_known_in_each_form(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump({"users": [{"name": "me", "user": {"token": "token-of-a-person"}}]}))
    environment = {
        "TOKEN": "token-of-a-job\n",
        "PUSHGATEWAY_USERNAME": "pusher",
        "PUSHGATEWAY_PASSWORD": "pass/word",
        "PUSHGATEWAY_ADDRESS": "http://me:word%2Fof%2Fmine@gateway",
        "KUBECONFIG": str(file),
        "DEPLOYMENT": "not-a-secret",
    }
    config = tmp_path / "promote.toml"
    config.write_text('[[repository]]\nname = "web"\nurl = "https://robot:word-of-a-forge@example.com/web"\n')
    (tmp_path / "token").write_text("token-of-a-pod\n")
    environment["SERVICE_ACCOUNT_FOLDER"] = str(tmp_path)
    found = secrets_of(environment, ["--pushgateway", "http://gateway/?token=token-in-a-url"])
    assert {
        "token-of-a-job",
        "pass/word",
        "pass%2Fword",
        "word/of/mine",
        "token-of-a-person",
        "token-in-a-url",
        "token-of-a-pod",
    } <= found
    assert "word-of-a-forge" not in found
    for arguments, folder in (
        (["promote", "move"], tmp_path),
        (["promote", "move", "--config", str(config)], None),
        (["promote", "move", "--config=promote.toml"], tmp_path),
    ):
        assert "word-of-a-forge" in secrets_of({}, arguments, folder)
    # pusher:pass/word, as basic authentication has it
    assert "cHVzaGVyOnBhc3Mvd29yZA" in found
    assert not any("not-a-secret" in each or each == "pusher" for each in found)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_secret_that_is_told_is_found(tmp_path: Path, stream: str) -> None:
    watch = Watch()
    program = tmp_path / "import-images"
    program.write_text(f"#!{sys.executable}\nimport os, sys\nprint('now', os.environ['TOKEN'], file=sys.{stream})\n")
    program.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        watch_processes(watch, patch)
        # As one word of several, so that the watch over all tests, which is on too, may know of another.
        subprocess.run([program], env={"TOKEN": "a-token-of-nobody"}, capture_output=True, check=True)
        with pytest.raises(AssertionError, match=f"{stream}: .*a-token-of-nobody"):
            watch.check()
    with pytest.raises(AssertionError):
        WATCH.check()


@pytest.mark.parametrize("kind", ["token", "renewed", "promote.toml"])
def test_a_secret_that_is_only_in_a_file_is_found_when_it_is_told(tmp_path: Path, kind: str) -> None:
    watch = Watch()
    file = tmp_path / ("promote.toml" if kind == "promote.toml" else "token")
    file.write_text("https://robot:secret-of-a-file@example.com")
    program = tmp_path / "import-images"
    code = f"from pathlib import Path\nfile = Path({str(file)!r})\n"
    if kind == "renewed":
        code += "file.write_text('renewed-token-of-a-pod')\n"
    program.write_text(f"#!{sys.executable}\n{code}print('now', file.read_text().replace('robot', 'x'), 'end')\n")
    program.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        watch_processes(watch, patch)
        if kind == "token":
            file.write_text("secret-of-a-file")
        environment = {} if kind == "promote.toml" else {"SERVICE_ACCOUNT_FOLDER": str(tmp_path)}
        subprocess.run([program, "promote", "status"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    with pytest.raises(AssertionError, match="stdout: "):
        watch.check()
    # The watch over all tests, which is on too, has found it as well.
    with pytest.raises(AssertionError):
        WATCH.check()


LEAKS = """
import logging, os, sys

def test_prints(): print("it is hunter2")
def test_logs(): logging.getLogger("job").warning("it is hunter2")
def test_logs_lines(): logging.getLogger("job.run.context").warning("first line\\nhunter2")
def test_logs_of_a_library(): logging.getLogger("urllib3").warning("it is hunter2")
def test_reads(capsys): print("it is hunter2"); assert capsys.readouterr().out
def test_reads_of_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("TOKEN", "token-of-this-test")
    sys.stderr.write(os.environ["TOKEN"])
    assert capsys.readouterr().err
def test_tells_nothing(capsys): print("it is ***"); assert capsys.readouterr().out
"""


def test_what_tests_capture_is_searched(tmp_path: Path) -> None:
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rE", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "7 passed, 5 errors" in done.stdout
    assert {line.partition("::")[2].split()[0] for line in done.stdout.splitlines() if line.startswith("ERROR ")} == {
        *("test_prints", "test_logs", "test_logs_lines", "test_reads", "test_reads_of_the_environment")
    }


def test_every_run_of_the_suite_is_watched(sandbox: Sandbox, tmp_path: Path) -> None:
    place = Place(sandbox)
    place.imported("app")
    before = WATCH.looked_at
    log = tmp_path / "termination-log"
    log.touch()
    place.run(TERMINATION_LOG=str(log))
    assert place.token in WATCH.secrets
    assert "planted-password-5b1f" in WATCH.secrets
    assert WATCH.looked_at - before == 2
    log.write_text(f"said by nobody: {place.token}")
    WATCH.search_files()
    with pytest.raises(AssertionError, match="termination message"):
        WATCH.check()


@pytest.mark.parametrize("kind", ["configmaps", "events"])
def test_a_secret_that_is_left_in_the_cluster_is_found(sandbox: Sandbox, kind: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    place.run()
    path = f"/api/v1/namespaces/{place.namespace}/{kind}"
    if kind == "configmaps":
        body: dict[str, Any] = {"metadata": {"name": "left"}, "data": {"said": place.token}}
    else:
        about = {"kind": "ImageStream", "namespace": place.namespace, "name": "app"}
        body = {"metadata": {"name": "left"}, "involvedObject": about, "message": place.token}
    sandbox.create(path, body)
    WATCH.search_sandbox(sandbox, place.namespace)
    sandbox.delete(f"{path}/left")
    with pytest.raises(AssertionError, match=kind):
        WATCH.check()


@pytest.mark.parametrize("output", ["json", "table"])
def test_what_a_server_repeats_is_blotted_out(sandbox: Sandbox, tmp_path: Path, output: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    told = f"Get https://robot:planted-robot-word@quay.io/v2/?access_token=planted-url-token: Bearer {place.token}"
    number = place.import_fault("app", status={"code": 400, "message": told})
    log = tmp_path / "termination-log"
    log.touch()
    done = place.run("--output", output, TERMINATION_LOG=str(log))
    sandbox.remove_faults(number)
    assert done.status == 1, done.stderr
    assert "quay.io" in done.stdout
    WATCH.secrets |= {"planted-robot-word", "planted-url-token"}
    WATCH.search(done.stdout + done.stderr + log.read_text(), "output")
    WATCH.search_sandbox(sandbox, place.namespace)
    WATCH.check()


# Rights


def rights(name: str) -> set[tuple[str, str]]:
    """The verbs on resources that the Roles and ClusterRoles of a file give."""
    documents = yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8"))
    return {
        (verb, resource)
        for document in documents
        if document["kind"] in ("Role", "ClusterRole")
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def explained() -> set[tuple[str, str]]:
    """The verbs on resources of which SECURITY.md tells what a thief can do with them."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = text.partition("## What a stolen token can do")[2].partition("### Narrower")[0].splitlines()
    found = set()
    for row in rows:
        if match := re.search(r"\| ((?:`\w+`(?:, )?)+) on ((?:`[\w-]+`(?:, )?)+)", row):
            verbs, resources = (re.findall(r"`([\w-]+)`", part) for part in match.groups())
            found |= {(verb, resource) for verb in verbs for resource in resources}
    return found


def test_every_right_that_is_shipped_is_explained_and_no_other() -> None:
    files = ["base/role.yaml", *(f"components/{name}/role.yaml" for name in ("rollouts", "rollback", "gates"))]
    files += ["components/fleet/cluster-roles.yaml", "components/gates/proven.yaml"]
    assert explained() == set().union(*map(rights, files))


def test_all_roles_that_are_shipped_are_known() -> None:
    with_roles = {
        file.relative_to(MANIFESTS).as_posix()
        for file in MANIFESTS.rglob("*.yaml")
        if re.search(r"^kind: (Cluster)?Role$", file.read_text(), re.MULTILINE)
    }
    assert with_roles == {
        "base/role.yaml",
        "components/rollouts/role.yaml",
        "components/rollback/role.yaml",
        "components/gates/role.yaml",
        "components/fleet/cluster-roles.yaml",
        "components/gates/proven.yaml",
    }


def test_the_narrowest_role_does(sandbox: Sandbox) -> None:
    """Locks by name, and a journal that is there beforehand."""
    rules = [rule for rule in without("configmaps", "create") if "leases" not in rule["resources"]]
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules.append({**leases, "verbs": ["create", "list"]})
    rules.append({**leases, "verbs": ["get", "update"], "resourceNames": ["import-images-prod"]})
    assert len(rules) > len(RUN) - 2
    place = Place(sandbox, rules)
    sandbox.create(f"/api/v1/namespaces/{place.namespace}/configmaps", {"metadata": {"name": JOURNAL}})
    place.imported("app")
    for _ in range(2):
        done = place.run()
        assert (done.status, [line for line in done.stderr.splitlines() if "warning" in line]) == (0, [])
    assert len(journal(place).runs) == 2


# Supply chain


@slow("makes the whole inventory, which changes only with the packages")
def test_the_inventory_is_valid_and_complete(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    subprocess.run(
        [
            "make",
            "--no-print-directory",
            f"--old-file={sys.prefix}/.tests",
            "sbom",
            f"SBOM={made}",
            f"VENV={sys.prefix}",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    text = made.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    named = {(each["name"], each["version"]): each for each in found["components"]}
    assert set(named) == {(name, str(version)) for name, version in pinned("requirements.txt").items()}
    for each in named.values():
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        (distribution,) = [more for more in each["externalReferences"] if more["type"] == "distribution"]
        assert distribution["hashes"]
    root = found["metadata"]["component"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (root["name"], root["version"], root["type"]) == (project["name"], project["version"], "application")
