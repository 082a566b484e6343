"""Reading the protobuf in which Kubernetes' own clients send its own types. Pure.

`kubectl create job`, `create token` and `auth can-i` do; what other clients send, and all answers, are JSON.
Source of behaviour: k8s.io/apimachinery pkg/runtime/serializer/protobuf.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tests.sandbox.status import Json, JsonValue

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\0"
# Messages whose fields stand in the object around them.
_INLINE = {"volumeSource", "handler", "localObjectReference", "ephemeralContainerCommon"}
# Plain values are sent even where JSON leaves them out for being empty.
_LEFT_OUT = {
    "count", "failureThreshold", "generation", "hostIPC", "hostNetwork", "hostPID", "hostPort", "initialDelaySeconds",
    "minReadySeconds", "nodePort", "periodSeconds", "stdin", "stdinOnce", "successThreshold", "timeoutSeconds", "tty",
}  # fmt: skip

_Fields = dict[int, tuple[str, str]]


class NotUnderstood(ValueError):  # noqa: N818 - not wrong, only not known here
    """No such type is known."""


@cache
def _types() -> dict[str, _Fields]:
    types: dict[str, _Fields] = {}
    for line in Path(__file__).with_name("protobuf-fields.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, listed = line.partition(":")
            fields = (each.split() for each in listed.split(",") if each.strip())
            types[name] = {int(number): (field, kind) for number, field, kind in fields}
    return types


def decode(data: bytes) -> Json:
    """An object with its type."""
    if not data.startswith(_MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message")
    envelope = dict(_parts(data[len(_MAGIC) :]))
    head = {number: _text(value) for number, value in _parts(_bytes(envelope.get(1, b"")))}
    api_version, kind = head.get(1, ""), head.get(2, "")
    if kind not in _types():
        raise NotUnderstood(kind)
    return {"apiVersion": api_version, "kind": kind, **_message(_bytes(envelope.get(2, b"")), kind)}


def _message(data: bytes, kind: str) -> Json:
    fields = _types()[kind]
    found: Json = {}
    for number, raw in _parts(data):
        if number not in fields:
            continue
        name, of = fields[number]
        if of.startswith("*"):
            found.setdefault(name, []).append(_value(raw, of[1:]))
        elif of.startswith("%"):
            entry = dict(_parts(_bytes(raw)))
            found.setdefault(name, {})[_text(entry.get(1, b""))] = _value(entry.get(2, b""), of[1:])
        elif name in _INLINE:
            found |= _value(raw, of)
        else:
            value = _value(raw, of)
            if value in (None, "") or (not value and name in _LEFT_OUT):
                continue
            found[name] = value
    return found


def _value(raw: int | bytes, kind: str) -> JsonValue:
    match kind:
        case "string":
            return _text(raw)
        case "bool":
            return bool(raw)
        case "int":
            number = raw if isinstance(raw, int) else 0
            return number - 2**64 if number >= 2**63 else number
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "Time" | "MicroTime":
            return _time(_bytes(raw), precise=kind == "MicroTime")
        case "Quantity":
            return _text(dict(_parts(_bytes(raw))).get(1, b""))
        case "IntOrString":
            parts = dict(_parts(_bytes(raw)))
            return _text(parts.get(3, b"")) if parts.get(1) else _value(parts.get(2, 0), "int")
        case "ExtraValue":
            return [_text(each) for _, each in _parts(_bytes(raw))]
    return _message(_bytes(raw), kind)


def _time(data: bytes, *, precise: bool) -> str | None:
    parts = dict(_parts(data))
    if not parts:
        return None
    seconds, nanoseconds = _value(parts.get(1, 0), "int"), _value(parts.get(2, 0), "int")
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{nanoseconds // 1000:06d}Z" if precise else f"{moment}Z"


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise TypeError("a number where a message was expected")
    return raw


def _text(raw: int | bytes) -> str:
    return _bytes(raw).decode()


def _parts(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        tag, place = _number(data, place)
        value: int | bytes
        match tag & 7:
            case 0:
                value, place = _number(data, place)
            case 1:
                value, place = data[place : place + 8], place + 8
            case 2:
                size, place = _number(data, place)
                value, place = data[place : place + size], place + size
            case 5:
                value, place = data[place : place + 4], place + 4
            case kind:
                raise ValueError(f"proto: illegal wireType {kind}")
        if place > len(data):
            raise ValueError("unexpected EOF")
        yield tag >> 3, value


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data):
            raise ValueError("unexpected EOF")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
