"""Bad input: every setting, and texts of others that try to steer terminals, forge log lines or break expositions."""

from __future__ import annotations

import json
import random
import re
import subprocess
import unicodedata
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from job.config.flags import SETTINGS
from job.config.setting import Setting
from tests.sandbox.client import Sandbox, until
from tests.sandbox.workload_manifests import trigger
from tests.support.place import HOLD, PROGRAM, Ended, Place, of
from tests.support.pods import events, journal
from tests.support.rights import ROLL_BACK
from tests.support.servers import Answered, Asked, Server, serving
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; the texts of streams and tags gate"
ONE_BY_ONE = "the same texts one by one; all of them in one text gate"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


# What each would do if it came through is told by its name.
HOSTILE = {
    "escape": "\x1b[2J\x1b]0;owned\x07\x9b31mred",
    "forged-line": "fine\nimport-images: error: forged\r\nimport-images: forged",
    "forged-json": 'x"}\n{"time": "2026", "level": "info", "message": "forged"}',
    "markup": "[bold red]x[/] [link=http://evil]y[/link] <b>&amp;</b>",
    "emoji": "😀🏳️‍🌈é\u0301 한글",
    "right-to-left": "\u202egpj.exe\u2066x\u200f\u061cy",
    "separators": "a\u2028b\u2029c\u0085d\x0be\x00f\x7f",
    "exposition": '"} 1\nforged_metric{a="b"} 1\n# TYPE forged_metric gauge\\',
    "formats": "%s %n {0} {tag} $(id) `id` ; rm -rf / #",
    "option": "--insecure-skip-tls-verify=true",
    "huge": "x" * 1_000_000,
}
FORGED = re.compile(r"^(import-images: )?(error: )?forged|^forged_metric", re.MULTILINE)
TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
# The most that can be: of an image's labels, and of all annotations of an object together (256 KiB).
LABEL = "x" * 1_000_000
ANNOTATION = "x" * 250_000
# Of these one text can hold all, since none of them is large.
TOGETHER = {name: text for name, text in HOSTILE.items() if name != "huge"}
ALL = "\n".join(TOGETHER.values())


def each(texts: Mapping[str, str], **more: str) -> pytest.MarkDecorator:
    """All in one, and for every test one by one."""
    alone = [pytest.param(text, id=name, marks=slow(ONE_BY_ONE)) for name, text in texts.items()]
    return pytest.mark.parametrize("text", [*(pytest.param(text, id=name) for name, text in more.items()), *alone])


TEXTS = each(HOSTILE, all=ALL)
# A huge text has a way of its own through every bound; from a registry it takes the longest one.
TEXTS_AND_HUGE = each(TOGETHER, all=ALL, huge=HOSTILE["huge"])


# What reads what a cluster says, and only looks.
LOOKS = ("plan", "status", "doctor")


class Bed(Place):
    """A namespace whose runs leave their termination message in a file, as in a pod."""

    def __init__(self, sandbox: Sandbox, log: Path) -> None:
        super().__init__(sandbox, ROLL_BACK)
        self.log = log

    def environment(self, **more: str | None) -> dict[str, str]:
        # Nothing of the run before is in it.
        self.log.write_text("")
        return super().environment(**{"TERMINATION_LOG": str(self.log), **more})


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Iterator[Bed]:
    yield Bed(sandbox, tmp_path / "termination-log")
    sandbox.remove_faults()


def assert_harmless(text: str) -> None:
    """No control characters but line breaks, and nothing that turns the direction of writing."""
    for line in text.splitlines(keepends=True):
        for character in line.removesuffix("\n"):
            assert unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs"), repr(line[:200])
            assert unicodedata.bidirectional(character) not in TURNS, repr(line[:200])
            assert character not in "\u200e\u200f\u061c", repr(line[:200])


def assert_told_well(done: Ended) -> None:
    """What a run wrote is its own lines and nothing else."""
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)
    assert not FORGED.search(done.stderr)
    if done.stderr.startswith("usage: "):
        return
    for line in done.stderr.splitlines():
        assert line.startswith("{") or re.match(r"import-images( [a-z-]+)*: ", line), line
        assert len(line) < 2500
        if line.startswith("{"):
            assert json.loads(line).keys() == {"time", "level", "message"}
            assert json.loads(line)["message"] != "forged"
    if done.stdout.startswith("{"):
        assert isinstance(json.loads(done.stdout), dict)
        assert done.stdout.isascii()


def assert_all_told_well(place: Bed, done: Ended) -> None:
    """Output, termination message, exposition, journal and Events of a run."""
    assert_told_well(done)
    message = place.log.read_text()
    assert message.startswith(place.namespace)
    assert_harmless(message)
    assert not FORGED.search(message)
    assert len(message.encode()) <= 4096
    with urllib.request.urlopen(f"{place.sandbox.pushgateway}/metrics", timeout=20) as answer:
        families = {family.name for family in text_string_to_metric_families(answer.read().decode())}
    assert "forged_metric" not in families
    assert "import_images_tag_result" in families
    assert journal(place).runs
    for event in events(place):
        assert_harmless(event["message"])
        assert len(event["message"]) <= 1000


def both(place: Bed, *arguments: str, **environment: str | None) -> Iterator[Ended]:
    """The same for people, and then for programs with the log lines of a container."""
    yield place.run(*arguments, "--output", "table", **environment)
    yield place.run(*arguments, "--output", "json", **{**environment, "KUBERNETES_SERVICE_HOST": "127.0.0.1"})


def looked(place: Bed, *arguments: str, **environment: str | None) -> dict[str, Ended]:
    """The commands that only look, for people and for programs; gives what they told people."""
    told = {}
    for command in LOOKS:
        told[command], document = both(place, command, *arguments, **environment)
        for done in (told[command], document):
            assert done.status in (0, 1), done.stderr
            assert_told_well(done)
        assert document.report["kind"]
    return told


# Messages: of the API, of a registry


@TEXTS
def test_what_the_api_says(place: Bed, text: str) -> None:
    place.imported("app", "one")
    place.import_fault(status={"code": 400, "message": text})
    for done in both(place, RETRIES="0"):
        assert done.status == 1
        assert_all_told_well(place, done)
    for path in ("imagestreams$", "leases$", "configmaps/import-images-rules", "configmaps/import-images-journal"):
        place.sandbox.remove_faults()
        place.fault(path, status={"code": 403, "message": text, "reason": text[:1000]})
        for done in both(place, RETRIES="0"):
            assert done.status == (0 if path.endswith("journal") else 3)
            assert_told_well(done)


@TEXTS_AND_HUGE
def test_what_a_registry_says(place: Bed, text: str) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": text, "detail": text}]}).encode()
    with serving("", lambda asked: None if asked.path == "/v2/" else Answered(403, body)) as server:
        place.stream("app", {"prod": f"{server.address}/app:prod"})
        for done in both(place, RETRIES="0"):
            assert done.status == 1
            assert_all_told_well(place, done)
        for done in both(place, "history", "app:prod"):
            assert_told_well(done)


@TEXTS
def test_what_a_gateway_says(place: Bed, text: str) -> None:
    place.imported("app", "one")
    with serving("", lambda asked: Answered(400, text.encode())) as server:
        for done in both(place, PUSHGATEWAY_ADDRESS=server.address):
            assert done.status == 0
            assert_told_well(done)
            assert "not pushed" in done.stderr


# Texts in the cluster: labels of images, annotations, names


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([ALL], id="all"),
        pytest.param([*TOGETHER.values(), LABEL], id="each", marks=slow(ONE_BY_ONE)),
    ],
)
def test_labels_of_images(place: Bed, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        labels = {"org.opencontainers.image.revision": text, "org.opencontainers.image.version": text}
        place.push(f"app-{number}", "old", labels=labels)
        place.stream(f"app-{number}")
        place.sandbox.import_tag(place.namespace, f"app-{number}", "prod")
        place.push(f"app-{number}", "new", labels=labels)
    for done in both(place):
        assert done.status == 0, done.stderr
        assert_all_told_well(place, done)
    revisions = {dict(labels)["revision"] for labels in place.metrics()["tag_image_info"]}
    assert len(revisions) == len(texts)
    looked(place)
    for done in both(place, "history", "*"):
        assert done.status == 0, done.stderr
        assert_told_well(done)
    assert "owned" in place.run("history", "app-0", "--output", "json").stdout


def annotate(place: Bed, stream: str, **texts: str) -> None:
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/{stream}"
    ours = {f"import-images.dev/{name}": text for name, text in texts.items()}
    place.sandbox.patch(path, {"metadata": {"annotations": ours}})


def annotated(place: Bed, stream: str, text: str) -> None:
    """A tag whose annotations say it everywhere."""
    digest = place.imported(stream, "old")
    place.roll_back(stream, digest, by=text, reason=text, until=text, at=text, bad=text)
    annotate(place, stream, skip=text, wave=text, other=text)


@pytest.mark.parametrize(
    "texts",
    [pytest.param([ALL], id="all"), pytest.param(list(TOGETHER.values()), id="each", marks=slow(ONE_BY_ONE))],
)
def test_annotations(place: Bed, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        annotated(place, f"app-{number}", text)
    place.roll_back("large", place.imported("large", "old"), reason=ANNOTATION)
    # Not of those that are held.
    for stream, text in (("waves", texts[0]), ("large-waves", ANNOTATION)):
        place.imported(stream, "old")
        annotate(place, stream, wave=text)
    for done in both(place):
        assert_all_told_well(place, done)
    results = place.run().results
    assert (results["app-0:prod"], results["large:prod"]) == ("skipped held", "skipped held")
    told = looked(place)
    # Whoever looks is shown it, and told that a wave is none.
    assert "owned" in told["status"].stdout
    assert "waves" in told["doctor"].stdout
    for done in both(place, "history", "*"):
        assert done.status == 0, done.stderr
        assert_told_well(done)


@each(TOGETHER, all=ALL)
def test_a_tag_of_any_name(place: Bed, text: str) -> None:
    """The API takes nearly any name for a tag."""
    digest = place.push("app", "one")
    place.stream("app", {"prod": place.source("app")})
    with renaming(place, "prod", text) as server:
        for done in both(place, HOST=server.url, DEPLOYMENT=None):
            assert_all_told_well(place, done)
        report = done.report
        looked(place, HOST=server.url, DEPLOYMENT=None)
        place.import_fault(status={"code": 400, "message": "no"})
        for done in both(place, HOST=server.url, DEPLOYMENT=None, RETRIES="0"):
            assert done.status == 1
            assert_all_told_well(place, done)
    assert [tag["tag"] for tag in report["tags"]] == [text]
    # The sandbox was asked to import it, and did.
    assert place.current("app") == digest


@slow(WHOLE_RUN)
@each({**TOGETHER, "percent": "%2e%2e"}, all=ALL, folders="../../../x", query="a/b?c#d")
def test_a_stream_of_any_name(place: Bed, text: str) -> None:
    """No API has such names; one that was taken over might."""
    place.imported("app", "old")
    place.push("app", "new")
    with renaming(place, "app", text) as server:
        for done in both(place, HOST=server.url):
            assert done.status == 0, done.stderr
            assert_told_well(done)
        assert {tag["stream"] for tag in done.report["tags"]} == {text}
        assert_told_well(place.run("history", "*", "--output", "table", HOST=server.url))
        # Wherever a name goes in, no other path is asked for; one request asks who the caller is.
        paths = {each.path for each in server.asked} - {"/apis/authentication.k8s.io/v1/selfsubjectreviews"}
        assert all(re.match(rf"/apis?/[\w./]+/namespaces/{place.namespace}/\w+", path) for path in paths)
    assert place.metrics()["tag_result"] == {of(text, result="unchanged"): 1}


@contextmanager
def renaming(place: Bed, real: str, shown: str) -> Iterator[Server]:
    """Lets a name look like another to the job, in what it reads and in what it writes."""
    name, other = json.dumps(real).encode(), json.dumps(shown).encode()
    pattern = re.compile(rb'"(name|tag)":\s*' + re.escape(name))

    def instead(asked: Asked) -> Answered | None:
        if "imagestream" not in asked.path:
            return None
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "content-length"}
        answer = server.forward(Asked(asked.method, asked.path, headers, asked.body.replace(other, name)))
        text = pattern.sub(lambda found: b'"%s":%s' % (found[1], other), answer.body)
        return Answered(answer.status, text, answer.headers)

    with serving(place.sandbox.server, instead) as server:
        yield server


# Texts of workloads and pods


@contextmanager
def wording(place: Bed, text: str) -> Iterator[Server]:
    """Lets every message in the status of workloads and pods say the text, and a container end with it."""

    def say(value: Any) -> Any:
        if isinstance(value, list):
            return [say(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {name: say(each) for name, each in value.items()}
        if "reason" in found:
            found["message"] = text
        if "exitCode" in found:
            found["reason"] = text
        return found

    def instead(asked: Asked) -> Answered | None:
        if asked.method != "GET" or not re.search(r"/(pods|deployments)(\?|$)", asked.path):
            return None
        answer = server.forward(asked)
        found = json.loads(answer.body)
        for item in found["items"]:
            item["status"] = say(item["status"])
        return Answered(answer.status, json.dumps(found).encode(), answer.headers)

    with serving(place.sandbox.server, instead) as server:
        yield server


@TEXTS
def test_what_workloads_and_pods_say(place: Bed, text: str) -> None:
    old = place.imported("app", f"{place.namespace} old")
    place.sandbox.create_workload(place.namespace, "Deployment", "app", tag="app:prod")
    until(lambda: place.images("app") == {old})
    # Triggers that name containers and tags as nobody would.
    for name, wrong in (
        ("path", {**trigger("app:prod"), "fieldPath": f"spec.template.spec.containers[{text}].image"}),
        ("name", trigger("app:prod", text)),
        ("tag", trigger(f"{text}:prod")),
    ):
        place.sandbox.create_workload(place.namespace, "Deployment", name, image=place.source("app"), triggers=[wrong])
    place.sandbox.image_behaves(place.push("app", f"{place.namespace} new"), "crash")
    with wording(place, text) as server:
        done = place.run(HOST=server.url, WATCH_ROLLOUTS="true", ROLLOUT_TIMEOUT="40s")
        assert done.status == 5, done.stderr
        assert_all_told_well(place, done)
        told = looked(place, HOST=server.url)
        assert {each["result"] for each in done.report["rollouts"]} >= {"failed", "will_not_redeploy"}
        # What is shown is shown by both.
        for each in (done, told["status"]):
            assert "ended with exit code" in each.stdout


# Rolling back


def test_the_reason_of_a_rollback(place: Bed) -> None:
    for number, text in enumerate([ALL, "x" * 50_000]):
        text = text.replace("\x00", "")
        name = f"app-{number}"
        place.imported(name, "old")
        place.push(name, "new")
        place.sandbox.import_tag(place.namespace, name, "prod")
        output = ("table", "json")[number % 2]
        done = place.run("rollback", name, "--yes", f"--reason={text}", "--output", output)
        assert done.status == 0, done.stderr
        # What it is about to do is told there, too, for people.
        assert_harmless(done.stdout + done.stderr)
        assert place.spec(name)["from"]["kind"] == "ImageStreamImage"
        assert HOLD in place.spec(name)["annotations"]
        for told in (
            place.run("history", name, "--output", "table"),
            place.run("resume", name, "--yes", "--output", output),
        ):
            assert told.status == 0, told.stderr
            assert_harmless(told.stdout + told.stderr)


@slow(WHOLE_RUN)
def test_what_a_rolled_back_image_says_of_itself(place: Bed) -> None:
    for number, text in enumerate([ALL, HOSTILE["escape"]]):
        labels = {"vcs-ref": text, "version": text}
        place.imported(f"app-{number}", "old", labels=labels)
        place.push(f"app-{number}", "new", labels=labels)
        place.sandbox.import_tag(place.namespace, f"app-{number}", "prod")
        done = place.run("rollback", f"app-{number}", "--yes", "--output", ("table", "json")[number % 2])
        assert done.status == 0, done.stderr
        assert_harmless(done.stdout + done.stderr)


# Settings

VALUES = (
    *("", " ", "-1", "0", "1", "9" * 400, "1e9", "nan", "0x10", "\t\r\n", "\x1b[2J", "é😀\u202e", "a" * 60_000),
    *(
        "--help",
        "-",
        "$(id)",
        "`id`",
        "../../etc/passwd",
        "%",
        "true",
        "maybe",
        ",",
        ";",
        "=",
        ":",
        "@",
        "*",
        "[",
        "a:b:c",
    ),
    *("https://[::1", "http://somebody:hidden-word@", "file:///etc/passwd", "127.0.0.1:1", "http://127.0.0.1:1/\x7f"),
    *("* * * * * 1h", "@every 1h 1h", "0 0 31 2 * 1h", "60 * * * * 1h", "Europe/Nowhere", "1ms", "1h1", "\udcff\udcfe"),
)
PAIRS = [(setting, value) for setting in SETTINGS for value in VALUES]
# Stays the same for ever, since nothing else is drawn from it.
SOME = random.Random(7).sample(PAIRS, 24)


def fuzzed(place: Bed, setting: Setting[object], value: str, *, by_flag: bool) -> Ended:
    environment = place.environment(RETRIES="0", IMPORT_TIMEOUT="5s", PUSHGATEWAY_ADDRESS=None)
    arguments = []
    if by_flag and setting.flag and setting.metavar:
        arguments = [f"{setting.flag}={value}"]
    else:
        environment[setting.name] = value
    done = subprocess.run(
        [PROGRAM, "--output", "json", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_settled(place: Bed, setting: Setting[object], value: str, *, by_flag: bool) -> None:
    before = len(place.imports())
    done = fuzzed(place, setting, value, by_flag=by_flag)
    assert_told_well(done)
    assert "Traceback" not in done.stderr
    assert "please report it" not in done.stderr
    assert "hidden-word" not in done.stderr
    if done.status == 2:
        # Where nothing matches, or there is no cluster, the message names what is missing.
        named = [setting.name, setting.flag or setting.name, "error: no "]
        assert any(name in line for line in done.stderr.splitlines() for name in named), done.stderr
        assert len(place.imports()) == before
    elif done.status == 3 and not done.stdout:
        # Not even the namespaces are known.
        assert "import-images: error: " in done.stderr
    else:
        assert done.status in (0, 1, 3, 4, 6), done.stderr
        assert done.report["kind"] == "Report"


@pytest.mark.parametrize(
    ("setting", "value"),
    representatives(SOME, TAIL, gating=3),
    ids=lambda each: getattr(each, "name", None),
)
def test_any_text_for_a_setting_is_refused_by_name_or_leads_to_a_run(
    place: Bed, setting: Setting[object], value: str
) -> None:
    place.imported("app", "one")
    assert_settled(place, setting, value, by_flag=len(value) % 2 == 0)


@slow("every text for every setting takes minutes")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_text_for_every_setting(place: Bed, setting: Setting[object]) -> None:
    place.imported("app", "one")
    # By turns in the environment and by flag, where there is one.
    for number, value in enumerate(value for each, value in PAIRS if each is setting):
        assert_settled(place, setting, value, by_flag=number % 2 == 1)


@pytest.mark.parametrize("argument", [ALL.replace("\x00", ""), HOSTILE["option"]], ids=["all", "option"])
@pytest.mark.parametrize(
    "command",
    representatives(
        [
            "run",
            "rollback",
            "promote move",
            "promote",
            "plan",
            "status",
            "doctor",
            "history",
            "resume",
            "no-such-command",
        ],
        TAIL,
        gating=3,
    ),
)
def test_any_argument(place: Bed, command: str, argument: str) -> None:
    done = place.run(*command.split(), argument)
    assert done.status == 2, done.stderr
    assert_told_well(done)


def test_a_namespace_of_the_pod_that_is_no_name(place: Bed, tmp_path: Path) -> None:
    place.imported("app", "one")
    done = place.run(NAMESPACE=None, POD_NAMESPACE=HOSTILE["escape"], JOB_NAME=HOSTILE["forged-line"])
    assert done.status in (2, 3), done.stderr
    assert_told_well(done)
