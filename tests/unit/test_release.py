"""What a release checks, and what it writes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from job import VERSION
from release import checks, image, provenance
from release.__main__ import pinned
from release.commands import Failed
from tests.support.paths import MANIFESTS, ROOT

BASE = MANIFESTS / "base" / "kustomization.yaml"
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that name the version, and the changelog."""
    for name in (*checks.PLACES, "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_checkout_agrees_with_itself(checkout: Path) -> None:
    assert not [line for line in checks.problems(checkout, VERSION) if "the version is" in line]


@pytest.mark.parametrize("place", checks.PLACES)
def test_a_place_that_was_forgotten_is_named(checkout: Path, place: str) -> None:
    edit(checkout / place, VERSION, "0.0.9")
    (line,) = (line for line in checks.problems(checkout, VERSION) if "the version is" in line)
    assert line.startswith(f"{place}: the version is 0.0.9")
    assert line.endswith(f", not {VERSION}")


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3-1", "01.2.3", "1.2.3; true", "1.2.3\n"])
def test_what_is_no_version_is_refused(checkout: Path, version: str) -> None:
    (line,) = checks.problems(checkout, version)
    assert line.startswith("VERSION: ")


@pytest.mark.parametrize("name", ["newTag", "app.kubernetes.io/version"])
def test_both_places_of_the_manifests_count(checkout: Path, name: str) -> None:
    edit(checkout / "manifests/base/kustomization.yaml", f"{name}: {VERSION}", f"{name}: 0.0.9")
    lines = [line for line in checks.problems(checkout, VERSION) if line.startswith("manifests/")]
    assert len(lines) == 1


def test_the_notes_are_the_section_of_the_version(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- soon\n\n## [1.10.0] - 2026-12-01\n\n### Added\n\n- ten\n\n"
        "## [1.1.0] - 2026-11-01\n\n- one\n\n[1.1.0]: https://example.com\n"
    )
    assert checks.notes(checkout, "1.10.0") == "### Added\n\n- ten\n"
    assert checks.notes(checkout, "1.1.0") == "- one\n"
    assert checks.notes(checkout, "1.0.0") == ""
    edit(checkout / "CHANGELOG.md", "- one\n", "")
    assert any(line.startswith("CHANGELOG.md") for line in checks.problems(checkout, "1.1.0"))


@pytest.mark.parametrize("name", ["quay.io/packit/import-images", "registry.example/team/import-images"])
def test_one_setting_pins_the_image_of_all_overlays(name: str) -> None:
    before, after = yaml.safe_load(BASE.read_text()), yaml.safe_load(pinned(BASE.read_text(), name, DIGEST))
    (setting,) = after.pop("images")
    assert setting.pop("name") == before.pop("images")[0]["name"]
    assert setting == {"digest": DIGEST, **({} if "quay.io" in name else {"newName": name})}
    assert before == after


def test_a_base_of_another_shape_is_refused() -> None:
    with pytest.raises(Failed, match="newTag"):
        pinned("resources: []\nimages:\n  - name: a\n    newTag: 1\n  - name: b\n", "a", DIGEST)


def test_links_of_the_notes_lead_to_the_files_of_the_release() -> None:
    text = "[Gates](docs/gates.md#age), [krew](https://krew.example), [below](#fixed)"
    there = checks.absolute(text, "https://forge.example/blob/v1.2.3")
    assert there == text.replace("(docs/", "(https://forge.example/blob/v1.2.3/docs/")


def test_the_provenance_names_what_was_made_of_what() -> None:
    made = provenance.statement(
        {"a.whl": "1" * 64},
        source="https://forge.example/project",
        revision="abc",
        materials={"requirements.txt": "2" * 64},
        bases={"registry.example/python (arm64)": "3" * 64},
        parameters={"version": "1.2.3"},
        builder="https://forge.example/workflow",
        invocation="",
        times=("2026-11-29T12:00:00Z", "2026-11-29T12:10:00Z"),
    )
    assert made["subject"] == [{"name": "a.whl", "digest": {"sha256": "1" * 64}}]
    assert (made["_type"], made["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    definition = made["predicate"]["buildDefinition"]
    commit, image, file = definition["resolvedDependencies"]
    assert commit["digest"] == {"gitCommit": "abc"}
    assert image == {"name": "registry.example/python (arm64)", "digest": {"sha256": "3" * 64}}
    assert file == {"name": "requirements.txt", "digest": {"sha256": "2" * 64}}
    assert definition["externalParameters"] == {"version": "1.2.3"}


def elf(machine: int) -> bytes:
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(20)


def test_a_wheel_takes_the_place_of_the_other_machines(tmp_path: Path) -> None:
    site = tmp_path / "venv/lib/python3.12/site-packages"
    info = site / "fast-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "fast.x86.so").write_bytes(elf(62))
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/fast").touch()
    (info / "RECORD").write_text("fast.x86.so,,\n../../../bin/fast,,\n")
    wheel = tmp_path / "fast-1.0-cp312-cp312-manylinux2014_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("fast.arm.so", elf(183))
    image.replace(site, wheel)
    assert sorted(path.name for path in site.iterdir()) == ["fast-1.0.dist-info", "fast.arm.so"]
    assert (tmp_path / "venv/bin/fast").exists()


@pytest.mark.parametrize("wrong", ["library", "base", "link", ""])
def test_an_image_of_mixed_machines_is_refused(tmp_path: Path, wrong: str) -> None:
    environment = tmp_path / image.VENV
    (environment / "bin").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (environment / "bin/python3").symlink_to("/usr/bin/none" if wrong == "link" else "/usr/bin/python3")
    (environment / "fast.so").write_bytes(elf(62 if wrong == "library" else 183))
    (tmp_path / "usr/bin/python3.12").write_bytes(elf(62 if wrong == "base" else 183))
    (tmp_path / "usr/bin/python3").symlink_to("python3.12")
    if wrong:
        with pytest.raises(Failed, match="arm64"):
            image.check_machine(tmp_path, "arm64")
    else:
        image.check_machine(tmp_path, "arm64")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with the job and another package that has a folder and a script of nearly the same names."""
    site = tmp_path / "venv/lib/python3.12/site-packages"
    for name in (
        "job/cli.py",
        "job/run/lease.py",
        "job/run/__pycache__/lease.cpython-312.pyc",
        "jobs/job/cli.py",
        "jobs/__pycache__/job.cpython-312.pyc",
        "import_images-1.0.dist-info/METADATA",
        "jobs-1.0.dist-info/RECORD",
        "six.py",
        "../../../bin/import-images",
        "../../../bin/import",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(name)
    (site / "import_images-1.0.dist-info/RECORD").write_text(
        "job/cli.py,sha256=x,1\njob/run/lease.py,,\nimport_images-1.0.dist-info/METADATA,,\n"
        "import_images-1.0.dist-info/RECORD,,\n../../../bin/import-images,,\n"
    )
    (tmp_path / "venv/lib64").symlink_to("lib")
    (tmp_path / "venv/bin/python3").symlink_to("/usr/bin/python3")
    return tmp_path / "venv"


def names(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_symlink() or not path.is_dir()}


def test_the_job_and_the_packages_are_two_trees(environment: Path, tmp_path: Path) -> None:
    packages, job = tmp_path / "packages", tmp_path / "job"
    (environment / "lib").chmod(0o711)
    image.divide(environment, packages, job)
    site = "lib/python3.12/site-packages"
    assert names(job) == {
        f"{site}/job/cli.py",
        f"{site}/job/run/lease.py",
        f"{site}/job/run/__pycache__/lease.cpython-312.pyc",
        f"{site}/import_images-1.0.dist-info/METADATA",
        f"{site}/import_images-1.0.dist-info/RECORD",
        "bin/import-images",
    }
    assert names(packages) == names(environment) - names(job)
    # Of folders, each has only those that it needs: an empty folder of the job would be in the layer of the packages.
    assert sorted(path.name for path in (packages / site).iterdir()) == ["jobs", "jobs-1.0.dist-info", "six.py"]
    assert sorted(path.name for path in (job / site).iterdir()) == ["import_images-1.0.dist-info", "job"]
    assert [(tree / "lib").stat().st_mode & 0o777 for tree in (packages, job)] == [0o711, 0o711]


def test_an_environment_without_the_job_is_refused(environment: Path, tmp_path: Path) -> None:
    shutil.rmtree(environment / "lib/python3.12/site-packages/import_images-1.0.dist-info")
    with pytest.raises(Failed, match="installed 0 times"):
        image.divide(environment, tmp_path / "packages", tmp_path / "job")
