"""Notes by a team's own template, in jinja2 (the extra `promote`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job.domain.errors import UsageError
from job.promote.markdown import escape

_MAX_BYTES = 256 * 1024


class _Raw(str):
    """Text that the filter `raw` exempts from escaping."""

    __slots__ = ()


def render(file: Path, document: Mapping[str, Any]) -> str:
    """The template's output for the document of `--output json`.

    The template may come with a repository, so it runs in jinja2's sandbox; and commits may contain anything, so each
    value is escaped for Markdown unless it passes the filter `raw`.

    Raises:
        UsageError: jinja2 is missing, or the template cannot be read or rendered.
    """
    try:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise UsageError(["template: needs jinja2; install it: pip install 'import-images[promote]'"]) from None
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        # Markdown needs another escaping than HTML, see `finalize`.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters["raw"] = lambda value: _Raw(value)
    environment.filters["short"] = lambda value: str(value or "?")[:9]
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise UsageError([f"template: {file}: larger than {_MAX_BYTES // 1024} KiB"])
        return environment.from_string(text.decode("utf-8")).render(document)
    except jinja2.TemplateError as error:
        line = f" line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise UsageError([f"template: {file}{line}: {error}"]) from None
    except (OSError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise UsageError([f"template: {file}: {error}"]) from None


def _finalize(value: object) -> object:
    return value if isinstance(value, _Raw) or not isinstance(value, str) else escape(value)
