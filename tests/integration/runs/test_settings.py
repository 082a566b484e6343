"""What a run is told: errors all at once, secrets that stay secret, and the ways into a cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.place import PROGRAM, Ended, Place
from tests.support.servers import Answered, serving
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


SECRETS = {
    "TOKEN": "token-word-1",
    "PUSHGATEWAY_TOKEN": "token-word-2",
    "PUSHGATEWAY_PASSWORD": "pass-word-3",
    "PROMETHEUS_TOKEN": "token-word-6",
}


def alone(*arguments: str, **environment: str) -> Ended:
    """The job without any cluster; nothing of it is touched."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def test_all_errors_are_told_at_once_by_the_name_used() -> None:
    done = alone(
        "run",
        "--concurrency",
        "none",
        "--deployment=a b",
        "--exclude",
        "a:b:c",
        "x:y:z",
        NAMESPACE="No_Namespace",
        RETRIES="-1",
        IMPORT_TIMEOUT="60",
        DEADLINE="0s",
        GATEWAY="carrier-pigeon",
        PUSHGATEWAY_ADDRESS="ftp://example.com",
        PUSHGATEWAY_CA_FILE="/no/such/file",
        INSECURE_SKIP_TLS_VERIFY="maybe",
        HOST="https://example.com",
        CLIENT="carrier-pigeon",
        SELECTOR="a=b;c",
        CONCURRENCY="7",
    )
    assert (done.status, done.stdout) == (2, "")
    errors = [line.removeprefix("import-images: error: ") for line in done.stderr.splitlines()]
    told = {error.partition(":")[0] for error in errors if error.startswith(("-", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"))}
    assert told == {
        "--concurrency",
        "--deployment",
        "--exclude",
        "NAMESPACE",
        "RETRIES",
        "IMPORT_TIMEOUT",
        "DEADLINE",
        "GATEWAY",
        "PUSHGATEWAY_ADDRESS",
        "PUSHGATEWAY_CA_FILE",
        "INSECURE_SKIP_TLS_VERIFY",
        "HOST",
        "CLIENT",
        "SELECTOR",
    }
    assert any("x:y:z" in error for error in errors)


@pytest.mark.parametrize(
    ("environment", "named"),
    representatives(
        [
            ({"HOST": "https://example.com"}, "TOKEN"),
            ({"TOKEN": "word"}, "HOST"),
            ({"PUSHGATEWAY_ADDRESS": "gw", "PUSHGATEWAY_PASSWORD": "word"}, "PUSHGATEWAY_USERNAME"),
            (
                {"PUSHGATEWAY_ADDRESS": "gw", "PUSHGATEWAY_USERNAME": "u", "PUSHGATEWAY_TOKEN": "word"},
                "PUSHGATEWAY_TOKEN",
            ),
            ({"SERVICE": "a" * 60, "DEPLOYMENT": "prod"}, "SERVICE"),
            ({"ON_BAD_ROLLOUT": "retreat"}, "ON_BAD_ROLLOUT"),
        ],
        TAIL,
    ),
)
def test_settings_that_do_not_go_together(environment: dict[str, str], named: str) -> None:
    done = alone(**environment)
    assert done.status == 2
    (line,) = done.stderr.splitlines()
    assert named in line
    assert "word" not in line.replace("PASSWORD", "")


@pytest.mark.parametrize(
    "arguments",
    representatives(
        [("--no-such-flag",), ("--output", "xml"), ("app", "plan"), ("--depl", "prod")], TAIL, unpacked=False
    ),
)
def test_bad_usage(arguments: tuple[str, ...]) -> None:
    done = alone(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize(
    "arguments", representatives([("--help",), ("run", "--help"), ("plan", "-h")], TAIL, unpacked=False)
)
def test_help_has_an_example(arguments: tuple[str, ...]) -> None:
    done = alone(*arguments, DEADLINE="bad")
    assert (done.status, done.stderr) == (0, "")
    assert "example" in done.stdout
    assert "import-images" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("line_break", representatives(["\n", "\r\n"], TAIL))
def test_values_may_end_with_a_line_break(place: Place, line_break: str) -> None:
    # As they do when they come from a Secret made of a file.
    place.imported("app")
    done = place.run(TOKEN=place.token + line_break, DEPLOYMENT=f"prod{line_break}")
    assert done.status == 0, done.stderr


def test_secrets_are_in_no_output(place: Place) -> None:
    place.imported("app")
    with serving("", lambda asked: Answered(401, str(asked.headers.get("Authorization")).encode())) as server:
        login = f"http://user:url-word-4@{server.address}"
        runs = [
            place.run(TOKEN=SECRETS["TOKEN"]),
            place.run(TOKEN=f"{SECRETS['TOKEN']}\nsecond line"),
            place.run(PUSHGATEWAY_ADDRESS=server.url, PUSHGATEWAY_TOKEN=SECRETS["PUSHGATEWAY_TOKEN"]),
            place.run(
                PUSHGATEWAY_ADDRESS=server.url,
                PUSHGATEWAY_USERNAME="user",
                PUSHGATEWAY_PASSWORD=SECRETS["PUSHGATEWAY_PASSWORD"],
            ),
            place.run(PUSHGATEWAY_ADDRESS=login),
            place.run(PUSHGATEWAY_ADDRESS=f"{login}/?token=token-word-5"),
            place.run("--pushgateway", f"ftp://user:url-word-4@{server.address}"),
            place.run(PROMETHEUS_TOKEN=f"{SECRETS['PROMETHEUS_TOKEN']}\nsecond line"),
            place.run(PROMETHEUS_URL=login, VERIFY="q: up"),
        ]
    assert [done.status for done in runs] == [3, 2, 0, 0, 0, 2, 2, 2, 2]
    for done in runs:
        for word in (*SECRETS.values(), "url-word-4", "token-word-5", "second line", place.token):
            assert word not in done.stdout + done.stderr


def test_flag_wins_over_environment(place: Place) -> None:
    place.imported("app")
    done = place.run("--deployment", "prod", "-n", place.namespace, DEPLOYMENT="stg", NAMESPACE="nowhere")
    assert (done.status, set(done.tags)) == (0, {"app:prod"})


def test_namespace_of_service_and_deployment(place: Place) -> None:
    service, _, deployment = place.namespace.partition("-")
    place.imported("app", tag=deployment)
    done = place.run(NAMESPACE=None, SERVICE=service, DEPLOYMENT=deployment)
    assert done.status == 0, done.stderr
    assert done.report["run"]["namespaces"] == [place.namespace]


def test_no_namespace_is_an_error(place: Place) -> None:
    done = place.run(NAMESPACE=None)
    assert done.status == 2
    assert "NAMESPACE" in done.stderr


# Ways into the cluster


@slow(WHOLE_RUN)
def test_kubeconfig(place: Place) -> None:
    place.imported("app")
    file = place.sandbox.kubeconfig(place.token, place.namespace)
    done = place.run(HOST=None, TOKEN=None, NAMESPACE=None, KUBECONFIG=str(file))
    assert done.status == 0, done.stderr
    assert done.report["run"]["namespaces"] == [place.namespace]
    assert "TLS" not in done.stderr


@slow(WHOLE_RUN)
def test_an_empty_deployment_does_not_mean_every_tag(place: Place) -> None:
    place.imported("app")
    place.push("app", "two")
    done = place.run("run", "--deployment", "", DEPLOYMENT=None)
    assert (done.status, place.imports()) == (2, [])
    assert "--deployment: is empty" in done.stderr


@slow(WHOLE_RUN)
def test_no_cluster_at_all(tmp_path: Path) -> None:
    done = alone(HOME=str(tmp_path), NAMESPACE="shop")
    assert done.status == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "KUBECONFIG" in line
    assert "HOST" in line


@pytest.mark.parametrize(
    "content", representatives(["", "[]", "{", "apiVersion: v1\nkind: Config\ncurrent-context: gone\n"], TAIL)
)
def test_damaged_kubeconfig(tmp_path: Path, content: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    done = alone(KUBECONFIG=str(file), NAMESPACE="shop")
    assert done.status == 2
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1


def test_unknown_certificate_authority_is_one_clear_line(place: Place) -> None:
    done = place.run(HOST=place.sandbox.secure_server, RETRIES="0")
    assert done.status == 3, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "certificate" in line.lower()]
    assert "TLS" in line
    assert place.namespace in line
    assert len(done.stderr.splitlines()) <= 3
    assert place.versions() == {}


@pytest.mark.parametrize("way", representatives(["--insecure-skip-tls-verify", "INSECURE_SKIP_TLS_VERIFY"], TAIL))
def test_skipping_verification_is_warned_of_loudly(place: Place, way: str) -> None:
    place.imported("app")
    arguments = (way,) if way.startswith("-") else ()
    environment = {} if way.startswith("-") else {way: "true"}
    done = place.run(*arguments, HOST=place.sandbox.secure_server, **environment)
    assert done.status == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "TLS" in line]
    assert "warning" in line
    assert "TLS VERIFICATION IS OFF" in line


def test_host_without_a_scheme_means_tls(place: Place) -> None:
    place.imported("app")
    host = place.sandbox.secure_server.removeprefix("https://")
    assert place.run("--insecure-skip-tls-verify", HOST=host).status == 0


@slow(WHOLE_RUN)
def test_cluster_that_redirects_is_not_followed(place: Place) -> None:
    elsewhere = Answered(302, b"", {"Location": f"{place.sandbox.server}/login"})
    with serving("", lambda _: elsewhere) as server:
        done = place.run(HOST=server.url, RETRIES="0")
    assert done.status == 3
    # That path is of the address that was given; one request asks who the caller is.
    paths = {asked.path for asked in server.asked} - {"/apis/authentication.k8s.io/v1/selfsubjectreviews"}
    assert {path.partition("/namespaces/")[1] for path in paths} == {"/namespaces/"}
