"""Write the dashboards: `python -m manifests.dashboards`, or `make dashboards`."""

from __future__ import annotations

from manifests.dashboards.files import written

if __name__ == "__main__":
    for file, text in written().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(file)  # noqa: T201 - says what was written
