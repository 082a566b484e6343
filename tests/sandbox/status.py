"""The errors an API server answers with: metav1.Status and field errors.

Source of behaviour: k8s.io/apimachinery pkg/api/errors and pkg/util/validation/field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# What JSON holds: an object, and anything.
Json = dict[str, Any]
JsonValue = Any

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(Exception):
    """An answer that is a Status with status Failure."""

    def __init__(self, status: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(status.get("message", ""))
        self.status = status
        self.headers = headers or {}

    @property
    def code(self) -> int:
        return int(self.status["code"])

    @property
    def message(self) -> str:
        return str(self.status.get("message", ""))

    def body(self) -> bytes:
        return json.dumps({"kind": "Status", "apiVersion": "v1", **self.status}, separators=(",", ":")).encode()


def failure(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    """A Status without type, as it stands inside other objects."""
    status: Json = {"metadata": {}, "status": "Failure", "message": message}
    if reason:
        status["reason"] = reason
    if details is not None:
        status["details"] = details
    status["code"] = code
    return status


def success(details: Json | None = None) -> Json:
    status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        status["details"] = details
    return status


def qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _details(resource: str, group: str, name: str) -> Json:
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource:
        details["kind"] = resource
    return details


def not_found(resource: str, group: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(failure(404, "NotFound", message, _details(resource, group, name)))


def already_exists(resource: str, group: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(failure(409, "AlreadyExists", message, _details(resource, group, name)))


def conflict(resource: str, group: str, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(failure(409, "Conflict", message, _details(resource, group, name)))


def forbidden(resource: str, group: str, name: str, why: str) -> ApiError:
    whole = qualified(resource, group)
    if name:
        message = f'{whole} "{name}" is forbidden: {why}'
    elif whole:
        message = f"{whole} is forbidden: {why}"
    else:
        message = f"forbidden: {why}"
    return ApiError(failure(403, "Forbidden", message, _details(resource, group, name)))


def bad_request(message: str) -> ApiError:
    return ApiError(failure(400, "BadRequest", message))


def unauthorized(message: str = "Unauthorized") -> ApiError:
    return ApiError(failure(401, "Unauthorized", message))


def internal_error(message: str) -> ApiError:
    return ApiError(internal_error_status(message))


def internal_error_status(message: str) -> Json:
    details = {"causes": [{"message": message}]}
    return failure(500, "InternalError", f"Internal error occurred: {message}", details)


def timed_out() -> ApiError:
    message = "Timeout: request did not complete within the allotted timeout"
    return ApiError(failure(504, "Timeout", message, {}))


def method_not_allowed(resource: str, group: str, verb: str) -> ApiError:
    message = f"{verb} is not supported on resources of kind {json.dumps(qualified(resource, group))}"
    return ApiError(failure(405, "MethodNotAllowed", message, _details(resource, group, "")))


def unsupported_media_type(supported: Iterable[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(supported)
    return ApiError(failure(415, "UnsupportedMediaType", message))


def no_such_path() -> ApiError:
    return ApiError(failure(404, "NotFound", "the server could not find the requested resource", {}))


def expired(message: str, continue_token: str = "") -> ApiError:
    status = failure(410, "Expired", message)
    if continue_token:
        status["metadata"] = {"continue": continue_token}
    return ApiError(status)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field."""

    reason: str
    field: str
    text: str

    @property
    def message(self) -> str:
        return f"{self.field}: {self.text}"


def _printed(value: object) -> str:
    # Go quotes strings and prints nil as null; numbers and booleans look as in JSON.
    return json.dumps(value, ensure_ascii=False)


def invalid_value(field: str, value: object, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {_printed(value)}: {detail}")


def required_value(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def forbidden_value(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {detail}")


def value_not_found(field: str, value: object) -> FieldError:
    return FieldError("FieldValueNotFound", field, f"Not found: {_printed(value)}")


def internal_field_error(field: str, detail: str) -> FieldError:
    return FieldError("InternalError", field, f"Internal error: {detail}")


def aggregate(messages: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else "[" + ", ".join(distinct) + "]"


def invalid_status(kind: str, group: str, name: str, errors: list[FieldError]) -> Json:
    message = f'{qualified(kind, group)} "{name}" is invalid: {aggregate(error.message for error in errors)}'
    details = _details(kind, group, name)
    details["causes"] = [{"reason": e.reason, "message": e.text, "field": e.field} for e in errors]
    return failure(422, "Invalid", message, details)


def invalid(kind: str, group: str, name: str, errors: list[FieldError]) -> ApiError:
    return ApiError(invalid_status(kind, group, name, errors))
