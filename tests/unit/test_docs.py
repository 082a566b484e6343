"""The documentation agrees with the code: generated tables are fresh, and what pages name exists."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from docs.tools import man, tables
from job import cli
from job.config import flags
from job.config.setting import Setting
from job.domain.model import Rollout, RolloutResult, TagName
from job.views.documents import json_lines
from tests.support.paths import ROOT
from tests.unit.reports import NAMESPACE, report_of, tag_result, unlisted

PAGES = tables.pages()
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
MARKER = re.compile(r"<!-- table: ([a-z -]+) -->")
README_LINES = 200


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_as_the_code_is_now(page: Path) -> None:
    assert TEXTS[page] == tables.refreshed(TEXTS[page]), "run `make docs-tables`"


def test_man_pages_are_fresh() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in man.FOLDER.glob("*.1")} == man.pages(), (
        "run `make docs-tables`"
    )


def test_what_explain_knows_of_alerts_is_fresh() -> None:
    assert tables.ALERT_WORDS.read_text(encoding="utf-8") == tables.alert_words(), "run `make docs-tables`"


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_has_a_page(name: str) -> None:
    assert any(name in MARKER.findall(text) for text in TEXTS.values())


def test_a_stale_table_is_noticed() -> None:
    page = ROOT / "docs" / "settings.md"
    stale = TEXTS[page].replace("`--import-timeout`", "`--import-limit`")
    assert stale != TEXTS[page]
    assert tables.refreshed(stale) == TEXTS[page]


def test_the_readme_is_short() -> None:
    assert len(TEXTS[ROOT / "README.md"].splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:job|tests|manifests|docs|examples)/[\w./-]*[\w/])`", TEXTS[page])
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_setting_with_more_to_say_is_a_setting() -> None:
    entries = re.findall(r"^- ((?:`[A-Z_]+`(?:, )?)+): ", TEXTS[ROOT / "docs" / "settings.md"], re.MULTILINE)
    described = {name for entry in entries for name in re.findall(r"`([A-Z_]+)`", entry)}
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", tables.settings(), re.MULTILINE))
    # These come from Kubernetes or the manifests and are no settings of a person.
    assert described - table == {"JOB_NAME", "POD_NAME", "POD_NAMESPACE", "TERMINATION_LOG"}
    assert table - described == {"SERVICE"}


def test_no_setting_is_left_out_of_the_table() -> None:
    defined = {value.name for value in vars(flags).values() if isinstance(value, Setting)}
    assert defined == {setting.name for setting in flags.SETTINGS}


def test_layers_hold_every_package_once() -> None:
    packages = {path.stem for path in (ROOT / "job").iterdir() if not path.stem.startswith("__")} - {"py"}
    layers = [name for layer in tables.contract() for name in layer]
    assert len(layers) == len(set(layers))
    assert set(layers) - {"__main__"} == packages


def test_packages_import_only_what_stands_below_them() -> None:
    level = {name: number for number, layer in enumerate(tables.contract()) for name in layer}
    upward = {
        (name, other) for name, others in tables.imports().items() for other in others if level[other] <= level[name]
    }
    assert upward == set()


def test_the_drawing_shows_the_layers_in_order() -> None:
    drawn = [tuple(line.strip("│ ").split("│")[0].split()) for line in tables.drawing().splitlines() if line[0] == "│"]
    assert drawn == tables.contract()
    assert tables.drawing() in TEXTS[ROOT / "docs" / "architecture.md"]


def shown_commands(text: str) -> list[str]:
    """The commands of our program in the blocks of a page: what a user may paste. Usage lines are left out."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"import-images( (?!\[)|$)", line) and "[OPTIONS]" not in line]


@pytest.mark.parametrize("page", [page for page in PAGES if shown_commands(TEXTS[page])], ids=name_of)
def test_commands_that_a_page_shows_can_be_given(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in shown_commands(TEXTS[page]):
        words = shlex.split(line, comments=True)[1:]
        words = words[: next((number for number, word in enumerate(words) if word in ("|", "&&", ";")), None)]
        try:
            cli._parse(words)
        except SystemExit as end:
            assert end.code == 0, f"{line}: {capsys.readouterr().err}"


# The functions that make JSON documents; promote has a page and tests of its own.
DOCUMENTS = ("job/views/documents.py", "job/status/command.py", "job/doctor/command.py", "job/commands")


def test_every_key_of_a_document_is_described() -> None:
    files = [
        file for path in DOCUMENTS for file in ([ROOT / path] if path.endswith(".py") else (ROOT / path).glob("*.py"))
    ]
    keys = {
        key.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.islower()
    }
    assert {"digest", "attention", "findings", "until_newer"} <= keys
    page = TEXTS[ROOT / "docs" / "documents.md"]
    described = {*re.findall(r"`([a-z_]+)`", page), *re.findall(r'"([a-z_]+)":', page)}
    assert keys - described == set()


def shape(value: object) -> object:
    """The keys of a document at every level; of a list that of its first entry."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_example_of_a_report_has_the_shape_of_a_report() -> None:
    block = re.search(r"^```json\n(.*?)^```", TEXTS[ROOT / "docs" / "documents.md"], re.MULTILINE | re.DOTALL)
    assert block is not None
    rollout = Rollout(
        NAMESPACE, "StatefulSet", "worker", (TagName(NAMESPACE, "worker", "prod"),), RolloutResult.HEALTHY
    )
    tag = replace(tag_result(), moved_with=("live",))
    report = replace(report_of(tag), errors=unlisted().errors, rollouts=(rollout,))
    assert shape(json.loads(block[1])) == shape(json.loads("".join(json_lines(report))))


LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as forges and MkDocs make them."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))], ids=name_of)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "promote"])
def test_every_command_has_a_page_in_the_site(name: str) -> None:
    assert (ROOT / "docs" / "commands" / f"{name}.md").is_file()
    assert f"commands/{name}.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation() -> None:
    navigation = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert set(navigation) == pages | {"index.md", "changelog.md", "contributing.md", "security.md"}
