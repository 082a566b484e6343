"""What the modules of a run cost to load, as a table and a flame graph: `python -m tests.bench.flame OUTPUT.svg`.

With `--commit` it is another version's, which runs on the packages that are installed here. The figures are those of
`python -X importtime`, of each module the least of several runs, on a sandbox of eight streams with a Pushgateway.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tests.bench import pod
from tests.bench.registry import made_up_registry
from tests.sandbox.client import start

RUNS = 15
WIDTH, ROW = 1200.0, 17
# Narrower ones have no room for a name; narrower than a pixel they are left out.
LEAST_NAMED = 40.0
COLOURS = {"job": "#3b7dd8", "library": "#d9822b", "standard": "#8a9ba8"}
START = "import sys; from job.cli import main; sys.exit(main(sys.argv[1:]))"


@dataclass(slots=True)
class Module:
    """A module with those that it loads first; its own time in microseconds."""

    name: str
    own: int
    children: list[Module] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Its time with that of its children."""
        return self.own + sum(child.total for child in self.children)

    @property
    def kind(self) -> str:
        package = self.name.partition(".")[0]
        if package in ("job", "run"):
            return "job"
        return "standard" if package.lstrip("_") in _STANDARD or package in _STANDARD else "library"

    def walk(self) -> Iterator[Module]:
        yield self
        for child in self.children:
            yield from child.walk()


_STANDARD = {*sys.stdlib_module_names, *(name.lstrip("_") for name in sys.stdlib_module_names), "sitecustomize"}


def read(text: str) -> list[Module]:
    """The modules at the top, from what importtime writes: a module's line comes after those of its children."""
    waiting: list[tuple[int, Module]] = []
    for line in text.splitlines():
        if not line.startswith("import time:") or "[us]" in line:
            continue
        own, _, name = line.removeprefix("import time:").split("|")
        depth = (len(name) - len(name.lstrip()) - 1) // 2
        children: list[Module] = []
        while waiting and waiting[-1][0] > depth:
            children.insert(0, waiting.pop()[1])
        waiting.append((depth, Module(name.strip(), int(own), children)))
    return [module for _, module in waiting]


def quickest(texts: Sequence[str]) -> Module:
    """One run whose modules each take the least that they took in any."""
    runs = [read(text) for text in texts]
    least: dict[str, int] = {}
    for modules in runs:
        for module in (found for top in modules for found in top.walk()):
            least[module.name] = min(least.get(module.name, module.own), module.own)
    modules = runs[-1]
    for module in (found for top in modules for found in top.walk()):
        module.own = least[module.name]
    return Module("run", 0, modules)


def draw(root: Module, title: str) -> str:
    """The graph as SVG: each module as wide as it takes, on those that it loads."""
    scale, boxes = WIDTH / root.total, []
    deepest = 0

    def place(module: Module, left: float, depth: int) -> None:
        nonlocal deepest
        width = module.total * scale
        if width < 1:
            return
        deepest = max(deepest, depth)
        at = f'x="{left:.1f}" y="{(depth + 2) * ROW}"'
        told = f"{module.name}: {module.total / 1000:.1f} ms, of which itself {module.own / 1000:.1f}"
        shape = f'{at} width="{width:.1f}" height="{ROW - 1}" fill="{COLOURS[module.kind]}"'
        boxes.append(f"<rect {shape}><title>{escape(told)}</title></rect>")
        if width >= LEAST_NAMED:
            name = module.name[-int(width / 6.5) :]
            boxes.append(f'<text x="{left + 2:.1f}" y="{(depth + 3) * ROW - 5}">{escape(name)}</text>')
        for child in module.children:
            place(child, left, depth + 1)
            left += child.total * scale

    place(root, 0.0, 0)
    height = (deepest + 4) * ROW
    legend = "; ".join(
        f"{name}: {colour}" for name, colour in (("blue", "job"), ("orange", "packages"), ("grey", "Python"))
    )
    font = 'font-family="sans-serif" font-size="11"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" {font}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="4" y="{ROW}" font-size="14">{escape(title)} ({legend})</text>',
        *boxes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def measured(source: Path | None, folder: Path) -> Module:
    """What the modules of a run take: of the version at `source`, else of this one."""
    installed = pod.install(folder / "installed")
    texts = []
    with made_up_registry() as registry, start("--registry", registry.address) as sandbox:
        scene = pod.Pod(sandbox, registry, folder, installed)
        environment = scene.environment() | {
            # Every version knows these two, and the files of a service account are elsewhere here.
            "HOST": sandbox.server,
            "TOKEN": (installed.account / "token").read_text(),
            "NAMESPACE": scene.namespace,
            "PATH": os.environ["PATH"],
            **({"PYTHONPATH": str(source)} if source else {}),
        }
        del environment["PYTHONDONTWRITEBYTECODE"]
        command: list[str | Path] = [installed.program.with_name("python"), "-X", "importtime", "-c", START]
        for _ in range(RUNS):
            registry.change()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(done.stderr[-1000:])
            texts.append(done.stderr)
    # The first run compiles another version's modules, and reads the gateway, since the journal knows nothing yet.
    return quickest(texts[1:])


def table(root: Module) -> str:
    """The time by package, as Markdown."""
    times: Counter[str] = Counter()
    for module in (found for top in root.children for found in top.walk()):
        name = module.name.partition(".")[0]
        times[f"`{name}`" if module.kind != "standard" else "Python's own"] += module.own
    rows = [f"| {name} | {time / 1000:.1f} |" for name, time in times.most_common(8)]
    count = sum(1 for _ in root.walk()) - 1
    return "\n".join(
        ["| package | ms |", "| --- | ---: |", *rows, f"| all {count} modules | {root.total / 1000:.1f} |"]
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flame", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--commit", help="of another version")
    parser.add_argument("--title", default="Loading the modules of a run")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="import-images-flame-") as name:
        folder = Path(name)
        source = pod.source_of(options.commit, folder / "source") if options.commit else None
        root = measured(source, folder)
    options.output.write_text(draw(root, f"{options.title}: {root.total / 1000:.0f} ms"), encoding="utf-8")
    print(table(root))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
