"""How large the image is, without its base, and what makes it so."""

from __future__ import annotations

import csv
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: as they lie there, as they travel, and by package."""

    unpacked: int
    compressed: int
    packages: Counter[str]

    def __str__(self) -> str:
        total = f"{self.unpacked / 1e6:.1f} MB, about {self.compressed / 1e6:.1f} MB compressed"
        lines = [f"{size / 1e6:8.1f} MB  {name}" for name, size in self.packages.most_common(10)]
        return "\n".join([f"the image without its base: {total}; the largest packages:", *lines])


def measure(root: Path, base: Path) -> Sizes:
    """Measure the files that the image at `root` has and its base at `base` has not."""
    added = [root / path for path in sorted(set(_files(root)) - set(_files(base)))]
    packed = zlib.compressobj(6)
    compressed = sum(len(packed.compress(path.read_bytes())) for path in added) + len(packed.flush())
    return Sizes(sum(path.stat().st_size for path in added), compressed, _packages(root))


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(root)


def _packages(root: Path) -> Counter[str]:
    """The size of each installed package, its bytecode included."""
    sizes: Counter[str] = Counter()
    for record in root.glob("opt/import-images/lib/python3.*/site-packages/*.dist-info/RECORD"):
        package = record.parent.name.removesuffix(".dist-info").replace("-", " ")
        with record.open(newline="") as lines:
            files = {record.parents[1] / row[0] for row in csv.reader(lines)}
        for path in files:
            compiled = path.parent.glob(f"__pycache__/{path.stem}.*.pyc") if path.suffix == ".py" else ()
            sizes[package] += sum(each.stat().st_size for each in (path, *compiled) if each.exists())
    return sizes
