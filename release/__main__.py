"""`python -m release VERSION`: checks, makes every file of a release, and with --push publishes it."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from release import checks, image, provenance
from release.commands import ROOT, Failed, python, run

IMAGE = "quay.io/packit/import-images"
BASE = "registry.access.redhat.com/ubi9/python-312-minimal"


@dataclass(slots=True)
class Release:
    """One release in the making.

    Attributes:
        version: X.Y.Z.
        folder: where its files go.
        revision: the commit.
        epoch: when it was made, in seconds.
        source: the address of the repository.
        name: the image's, without a tag.
        bases: of the image, by architecture.
        digest: of the image's manifest list, once it is made.
        base_digests: of the bases, by architecture, once images are made from them.
        left_out: what could not be made, and why.
        started: when this began.
    """

    version: str
    folder: Path
    revision: str
    epoch: int
    source: str
    name: str
    bases: dict[str, str]
    digest: str = ""
    base_digests: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    # Files of the image get the same modes wherever it is made, and any user can read them.
    os.umask(0o022)
    wrong = [*checks.problems(ROOT, options.version), *_problems_of_git(options.version)]
    if wrong:
        print(f"{options.version} cannot be released:", *wrong, sep="\n  ", file=sys.stderr)
        if options.push or not options.anyway:
            return 2
        print("made anyway, and not to be published:", file=sys.stderr)
    bases = {"amd64": options.base, "arm64": options.base_arm64 or options.base}
    release = Release(
        version=options.version,
        folder=options.output.resolve(),
        revision=run("git", "rev-parse", "HEAD"),
        epoch=int(run("git", "show", "--no-patch", "--format=%ct", "HEAD")),
        source=_source(),
        name=options.image,
        bases={name: bases[name] for name in options.architectures.split(",")},
    )
    try:
        _make(release, options.storage.resolve(), push=options.push)
    except Failed as problem:
        print(f"\nfailed: {problem}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("version", help="X.Y.Z")
    parser.add_argument("--push", action="store_true", help="publish: tag, push the image, sign, make the release")
    parser.add_argument("--anyway", action="store_true", help="make the files although a check failed; never pushes")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "release", help="folder of the files")
    parser.add_argument("--storage", type=Path, default=ROOT / "build" / "images", help="folder of buildah's images")
    parser.add_argument("--image", default=IMAGE, help="name of the image, as the manifests have it")
    parser.add_argument("--base", default=BASE, help="base of the image")
    parser.add_argument("--base-arm64", default="", help="base of the image for arm64, if not the same name")
    parser.add_argument("--architectures", default="amd64,arm64", help="which images to make")
    return parser.parse_args(arguments)


def _problems_of_git(version: str) -> list[str]:
    found = ["the work tree has changes"] if run("git", "status", "--porcelain", "--untracked-files=no") else []
    tagged = run("git", "tag", "--list", f"v{version}")
    if tagged and run("git", "rev-list", "-1", tagged) != run("git", "rev-parse", "HEAD"):
        found.append(f"the tag v{version} is at another commit")
    return found


def _source() -> str:
    import tomllib

    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["urls"]["Source"])


def _make(release: Release, storage: Path, *, push: bool) -> None:
    shutil.rmtree(release.folder, ignore_errors=True)
    release.folder.mkdir(parents=True)
    recipe = image.Recipe(release.bases, release.version, release.revision, release.source, release.epoch)
    builder = image.Builder(storage, recipe)
    architectures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        context = Path(temporary) / "context"
        _check_out(context)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("wheel and sdist", lambda: _packages(release, context)),
            ("plugin of kubectl", lambda: _plugin(release)),
            ("image", lambda: architectures.extend(_images(release, builder, context, push))),
            ("manifests", lambda: _manifests(release, context)),
            ("SBOM", lambda: _sbom(release)),
            ("notes", lambda: _notes(release)),
            ("provenance", lambda: _provenance(release)),
        ]
        for name, step in steps:
            print(f"{name} ...", flush=True)
            step()
    signed = _can_sign(release, push)
    if push:
        _publish(release, signed)
    _summary(release, architectures, push)


def _check_out(context: Path) -> None:
    """The files of the commit, and nothing else that lies in the work tree."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        run("git", "archive", "--format=tar", "--output", archive.name, "HEAD")
        image.extract(Path(archive.name), context)


def _packages(release: Release, context: Path) -> None:
    environment = {"SOURCE_DATE_EPOCH": str(release.epoch)}
    python("-m", "build", "--no-isolation", "--outdir", release.folder, context, environment=environment)


def _plugin(release: Release) -> None:
    pip = f"{sys.executable} -m pip --disable-pip-version-check --quiet"
    run("plugin/build", environment={"PIP": pip})
    shutil.copy(ROOT / "build" / "kubectl-import_images.tar.gz", release.folder)


def _images(release: Release, builder: image.Builder, context: Path, push: bool) -> list[str]:
    if not shutil.which("buildah"):
        raise Failed("missing: buildah, which makes the image")
    architectures = builder.build(context)
    release.base_digests = builder.bases
    layout = release.folder / "image"
    release.digest = builder.push(architectures, f"oci:{layout}:{release.version}")
    if push:
        release.digest = builder.push(architectures, f"docker://{release.name}:{release.version}")
    with tarfile.open(release.folder / f"import-images-{release.version}.oci.tar", "w") as archive:
        for path in sorted(layout.rglob("*")):
            archive.add(path, str(path.relative_to(layout)), recursive=False, filter=_plain(release))
    shutil.rmtree(layout)
    return architectures


def _plain(release: Release) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    """Give a member of an archive the commit's time and no owner, and leave out programs."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.mtime, member.uid, member.gid, member.uname, member.gname = release.epoch, 0, 0, "", ""
        return None if member.name.endswith((".py", "__pycache__")) else member

    return plain


def pinned(text: str, name: str, digest: str) -> str:
    """The kustomization of the base with exactly one build of the image instead of a tag."""
    before, mark, after = text.partition("images:\n")
    lines = [line for line in after.splitlines() if line.strip()]
    if not mark or len(lines) != 2 or not lines[1].lstrip().startswith("newTag:"):
        raise Failed("manifests/base/kustomization.yaml: not one image with newTag at its end")
    new = "" if lines[0].endswith(f" {name}") else f"    newName: {name}\n"
    return f"{before}{mark}{lines[0]}\n{new}    digest: {digest}\n"


def _manifests(release: Release, context: Path) -> None:
    """An archive of the manifests in which the one setting of the image names its digest."""
    base = context / "manifests" / "base" / "kustomization.yaml"
    base.write_text(pinned(base.read_text(encoding="utf-8"), release.name, release.digest), encoding="utf-8")

    path = release.folder / f"import-images-{release.version}-manifests.tar.gz"
    with gzip.GzipFile(path, "wb", mtime=release.epoch) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(context / "manifests", "manifests", filter=_plain(release))


def _sbom(release: Release) -> None:
    python(
        "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--pyproject", "pyproject.toml", "--spec-version", "1.6",
        "--short-PURLs", "--output-reproducible", "--output-format", "JSON",
        "--output-file", release.folder / "sbom.cdx.json", "requirements.txt",
    )  # fmt: skip


def _notes(release: Release) -> None:
    """The section of the changelog, whose links lead to the files of the release wherever it is shown."""
    text = checks.absolute(checks.notes(ROOT, release.version), f"{release.source}/blob/v{release.version}")
    (release.folder / "notes.md").write_text(text, encoding="utf-8")


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _provenance(release: Release) -> None:
    """The statement, and the sums of all files with it."""
    subjects = {path.name: digest_of(path) for path in release.folder.iterdir()}
    subjects[release.name] = release.digest.removeprefix("sha256:")
    server, repository, number = (
        os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    actions = f"{server}/{repository}/actions/runs/{number}" if number else ""
    made = provenance.statement(
        subjects,
        source=release.source,
        revision=release.revision,
        materials={name: digest_of(ROOT / name) for name in (*image.REQUIREMENTS, "Containerfile")},
        bases={
            f"{release.bases[name]} ({name})": digest.removeprefix("sha256:")
            for name, digest in release.base_digests.items()
        },
        parameters={"version": release.version, **{f"base-{name}": base for name, base in release.bases.items()}},
        builder=f"{server}/{repository}/.github/workflows/release.yml" if number else "file://local",
        invocation=actions,
        times=(_time(release.started), _time(datetime.now(UTC))),
    )
    (release.folder / "provenance.intoto.json").write_text(json.dumps(made, indent=1) + "\n")
    sums = sorted((path.name, digest_of(path)) for path in release.folder.iterdir())
    (release.folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums))


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _can_sign(release: Release, push: bool) -> bool:
    if shutil.which("cosign"):
        return True
    if push:
        raise Failed("missing: cosign, without which nothing is published")
    release.left_out.append("signatures: no cosign here")
    return False


def _publish(release: Release, signed: bool) -> None:
    assert signed
    exact, statement = f"{release.name}@{release.digest}", release.folder / "provenance.intoto.json"
    predicate = release.folder / "predicate.json"
    predicate.write_text(json.dumps(json.loads(statement.read_text())["predicate"]))
    run("cosign", "sign", "--yes", "--recursive", exact)
    run("cosign", "attest", "--yes", "--type", "slsaprovenance1", "--predicate", predicate, exact)
    run("cosign", "attest", "--yes", "--type", "cyclonedx", "--predicate", release.folder / "sbom.cdx.json", exact)
    predicate.unlink()
    sums = release.folder / "SHA256SUMS"
    run("cosign", "sign-blob", "--yes", "--bundle", f"{sums}.bundle", sums)
    tag = f"v{release.version}"
    if not run("git", "tag", "--list", tag):
        run("git", "tag", "--annotate", "--message", f"import-images {release.version}", tag)
        run("git", "push", "origin", tag)
    files = sorted(path for path in release.folder.iterdir() if path.name != "notes.md")
    notes = release.folder / "notes.md"
    run("gh", "release", "create", tag, "--title", release.version, "--notes-file", notes, *files)


def _summary(release: Release, architectures: list[str], push: bool) -> None:
    print(f"\nmade in {release.folder}:")
    for path in sorted(release.folder.iterdir()):
        print(f"  {path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    if release.left_out:
        print("left out:", *release.left_out, sep="\n  ")
    print("published:" if push else "nothing was published; PUSH=true would:")
    for line in (
        f"tag v{release.version} at {release.revision[:12]} and push the tag",
        f"push {release.name}:{release.version} for {', '.join(architectures)}: {release.digest}",
        "sign the image, its provenance and SBOM, and SHA256SUMS by cosign",
        f"make the release v{release.version} on the forge with these files and notes.md",
    ):
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
