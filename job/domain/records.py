"""`dataclass`, `field` and `replace` as the standard library has them, without the time that they take at the start.

The standard library writes the methods of each class as source text and compiles it whenever the program starts: a
millisecond of CPU a class, which was a quarter of a short run. Here methods are closures. Classes always have slots.
Type checkers see the standard library's own, and `tests/unit/domain/test_records.py` holds both to the same behaviour.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

C = TypeVar("C", bound=type)
T = TypeVar("T")
Method = Callable[..., Any]

# By this name `replace` of the standard library finds the fields, too.
_FIELDS = "__dataclass_fields__"
_MISSING: Any = object()


class _Field:
    """What is known of one field; its attributes are named as those of `dataclasses.Field`."""

    __slots__ = ("compare", "default", "default_factory", "hash", "kw_only", "name", "repr")
    init = True
    _field_type = None

    def __init__(
        self,
        *,
        default: object = _MISSING,
        default_factory: Callable[[], Any] | None = None,
        repr: bool = True,  # noqa: A002 - as in the standard library
        compare: bool = True,
        hash: bool = True,  # noqa: A002 - as in the standard library
        kw_only: bool = False,
    ) -> None:
        self.name = ""
        self.default, self.default_factory, self.kw_only = default, default_factory, kw_only
        self.repr, self.compare, self.hash = repr, compare, compare and hash


def _dataclass(*, slots: bool, frozen: bool = False, eq: bool = True, order: bool = False) -> Callable[[C], C]:
    """The decorator of a class whose annotations are its fields.

    Args:
        slots: must be true; classes without slots are not made here.
        frozen: fields cannot be assigned.
        eq: instances with equal fields are equal; else each is equal only to itself.
        order: instances compare by their fields.
    """
    assert slots

    def decorate(cls: C) -> C:
        fields, namespace = _fields_of(cls)
        # A slot's own setter also serves where assignment is refused; there is none before the class.
        setters: list[Method] = []
        initialize = _init(cls.__qualname__, fields, setters)
        methods: dict[str, Method | None] = {"__init__": initialize, "__repr__": _repr(fields)}
        if frozen:
            methods |= {"__setattr__": _refuse_to_assign, "__delattr__": _refuse_to_assign}
        if eq:
            methods |= {"__eq__": _comparison(operator.eq, fields), "__hash__": _hash(fields) if frozen else None}
        if order:
            compared = (operator.lt, operator.le, operator.gt, operator.ge)
            methods |= {f"__{compare.__name__}__": _comparison(compare, fields) for compare in compared}
        # Given to the class when it is made: each method that is added later makes Python go through its slots again.
        made = type(cls)(cls.__name__, cls.__bases__, methods | namespace)
        setters += [getattr(made, field.name).__set__ for field in fields]
        return made

    return decorate


def _fields_of(cls: type) -> tuple[list[_Field], dict[str, Any]]:
    """The fields of a class, and what else it is to be made of, with its own fields as slots."""
    inherited: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get(_FIELDS, {})
    namespace = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    fields = dict(inherited)
    for name in cls.__annotations__:
        given = namespace.pop(name, _MISSING)
        fields[name] = given if isinstance(given, _Field) else _Field(default=given)
        fields[name].name = name
    # What can only be given by name comes last.
    fields = dict(sorted(fields.items(), key=lambda item: item[1].kw_only))
    namespace |= {_FIELDS: fields, "__slots__": tuple(name for name in fields if name not in inherited)}
    return list(fields.values()), namespace


def _init(qualname: str, fields: Sequence[_Field], setters: Sequence[Method]) -> Method:
    complete, count = _completer(qualname, fields), len(fields)

    def initialize(self: object, *values: object, **named: object) -> None:
        filled = complete(values, named) if named or len(values) != count else values
        for set_value, value in zip(setters, filled, strict=True):
            set_value(self, value)

    return initialize


def _completer(
    qualname: str, fields: Sequence[_Field]
) -> Callable[[Sequence[object], dict[str, object]], Sequence[object]]:
    """The function from the arguments of a class to the values of all its fields, in order."""
    positions = {field.name: number for number, field in enumerate(fields)}
    defaults = [field.default for field in fields]
    without = [(number, field) for number, field in enumerate(fields) if field.default is _MISSING]

    def complete(values: Sequence[object], named: dict[str, object]) -> Sequence[object]:
        if len(values) > len(fields):
            raise TypeError(f"{qualname}() takes {len(fields)} arguments, and {len(values)} were given")
        filled = [*values, *defaults[len(values) :]]
        for name, value in named.items():
            if positions.get(name, -1) < len(values):
                raise TypeError(f"{qualname}() has no argument {name!r}, or was given it twice")
            filled[positions[name]] = value
        for number, field in without:
            if filled[number] is _MISSING:
                if field.default_factory is None:
                    raise TypeError(f"{qualname}() lacks the argument {field.name!r}")
                filled[number] = field.default_factory()
        return filled

    return complete


def _repr(fields: Sequence[_Field]) -> Method:
    names = [field.name for field in fields if field.repr]

    def represent(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return represent


def _values_of(names: Sequence[str]) -> Method:
    """The function from an instance to the values of some fields."""
    return attrgetter(*names) if names else lambda instance: ()


def _comparison(compare: Callable[[Any, Any], bool], fields: Sequence[_Field]) -> Method:
    values = _values_of([field.name for field in fields if field.compare])

    def comparison(self: object, other: object) -> bool:
        return compare(values(self), values(other)) if type(self) is type(other) else NotImplemented

    return comparison


def _hash(fields: Sequence[_Field]) -> Method:
    values = _values_of([field.name for field in fields if field.hash])
    return lambda self: hash(values(self))


def _refuse_to_assign(self: object, name: str, value: object = None) -> NoReturn:
    raise AttributeError(f"{type(self).__qualname__} is immutable: {name!r} cannot be changed")


def _replace(instance: T, **changes: object) -> T:
    """A copy in which some fields have other values."""
    values = [changes.pop(name) if name in changes else getattr(instance, name) for name in getattr(instance, _FIELDS)]
    return type(instance)(*values, **changes)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    dataclass, field, replace = _dataclass, _Field, _replace
