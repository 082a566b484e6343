"""The names that `--output name` prints: one a line, without a heading, for other commands to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from job.domain.text import clean

_Entry = Mapping[str, Any]


def _tag(entry: _Entry) -> str:
    # As `oc get -o name` writes them.
    return f"imagestreamtag.image.openshift.io/{entry['stream']}:{entry['tag']}"


def _value_of(key: str) -> Callable[[_Entry], str]:
    return lambda entry: str(entry[key])


# By the document's kind: the list that has the names, and the name of one of its entries.
NAMES: Mapping[str, tuple[str, Callable[[_Entry], str]]] = {
    **dict.fromkeys(("Report", "Rollback", "Resume", "Status", "History"), ("tags", _tag)),
    "Runs": ("runs", _value_of("id")),
    "Rules": ("namespaces", _value_of("namespace")),
    "Doctor": ("findings", _value_of("where")),
    "Notify": ("services", _value_of("name")),
    "Explain": ("words", _value_of("word")),
    "PromoteStatus": ("repositories", _value_of("name")),
    "Moves": ("repositories", _value_of("repository")),
    "Arrivals": ("images", _tag),
    "Notes": ("repositories", _value_of("name")),
}


def names_of(document: Mapping[str, Any]) -> list[str]:
    """The names of what a document is about, each once, in the document's order.

    Args:
        document: with its `kind`.
    """
    key, name_of = NAMES[document["kind"]]
    return list(dict.fromkeys(clean(name_of(entry)) for entry in document[key]))
