"""The report in the log of a pod, which has both output streams. Pure."""

from __future__ import annotations

import json


def split(log: str) -> tuple[str, str]:
    """The document with `kind` and `version`, or an empty text, and everything else."""
    decoder = json.JSONDecoder()
    rest, position, document = [], 0, ""
    while position < len(log):
        end = log.find("\n", position)
        end = len(log) if end < 0 else end + 1
        if log[position] == "{":
            try:
                found, after = decoder.raw_decode(log, position)
            except ValueError:
                pass
            else:
                if isinstance(found, dict) and {"kind", "version"} <= found.keys():
                    document = log[position:after]
                    position = after + 1
                    continue
        rest.append(log[position:end])
        position = end
    return document, "".join(rest)
