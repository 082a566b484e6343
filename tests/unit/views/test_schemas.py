"""The schemas of documents: what they refuse, and that `explain` hands them out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from job.cli import main
from job.views.documents import json_lines
from job.views.names import NAMES, names_of
from job.views.schemas import DOCUMENTS, schema_of
from tests.support.documents import check_document
from tests.unit.reports import failed, held, report_of, tag_result, unlisted

REPORT = replace(report_of(tag_result(), failed(), held()), errors=unlisted().errors)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_schema_is_valid_and_says_what_each_key_is(kind: str) -> None:
    Draft202012Validator.check_schema(schema_of(kind))
    assert schema_of(kind)["properties"]["kind"] == {"const": kind}


def test_a_report_with_every_result_is_as_its_schema_says() -> None:
    check_document("".join(json_lines(REPORT)))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"errors": None},
        {"new_key": 1},
        {"run": {}},
        {"tags": [{"namespace": "a"}]},
        {"kind": "Reprot"},
    ],
    ids=str,
)
def test_what_differs_from_its_schema_fails_a_test(change: dict[str, object]) -> None:
    document = json.loads("".join(json_lines(REPORT))) | change
    with pytest.raises(AssertionError, match=r"schemas\.py"):
        check_document(json.dumps(document))


def test_keys_that_a_later_version_adds_are_no_error_for_users() -> None:
    document = json.loads("".join(json_lines(REPORT))) | {"new_key": 1}
    Draft202012Validator(schema_of("Report")).validate(document)


@pytest.mark.parametrize(
    ("words", "title"),
    [("report", "Report"), ("plan", "Report"), ("promote status", "PromoteStatus"), ("STATUS", "Status")],
)
def test_explain_prints_a_schema(words: str, title: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--", "schema", *words.split()]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == title


def test_a_document_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "schema", "repot"]) == 2
    assert "did you mean report?" in capsys.readouterr().err
    assert main(["explain", "schema"]) == 0
    assert "history --runs" in capsys.readouterr().out


def test_what_is_explained_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "pinned", "importimagestagstale", "-o", "json"]) == 0
    out = capsys.readouterr().out
    check_document(out)
    assert [each["what"] for each in json.loads(out)["words"]] == ["reason for which a tag is skipped", "alert"]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_of_each_kind_has_names(kind: str) -> None:
    key, _ = NAMES[kind]
    entry = {"stream": "worker", "tag": "prod", **dict.fromkeys(("id", "namespace", "where", "name", "word"), "x")}
    document = {"kind": kind, key: [{**entry, "repository": "x"}] * 2}
    assert key in schema_of(kind)["properties"]
    assert names_of(document) in (["x"], ["imagestreamtag.image.openshift.io/worker:prod"])
