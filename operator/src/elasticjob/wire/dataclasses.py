"""Frozen dataclasses with the interface of the standard library, in a tenth of its time.

The standard module imports `inspect` and compiles six methods for each class, which is a quarter of
the CPU time of an agent's start. Its `replace` sets all fields, 50 for each event of an agent. This
module compiles one method for each class, shares the others, and copies unchanged fields at once.
It supports neither inheritance nor default_factory.

Type checkers, and fields, asdict and replace of the standard module, accept these classes.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Callable, TypeVar

Record = TypeVar("Record")
_Method = Callable[..., Any]


def _dataclass(*, frozen: bool, order: bool = False) -> Callable[[type[Record]], type[Record]]:
    """Make a decorator for a class whose fields are its annotations."""
    if not frozen:
        raise TypeError("this module makes frozen dataclasses only")
    return partial(_decorate, order=order)


def _replace(record: Record, **changes: Any) -> Record:
    """Copy the record with other values in some fields. Raises TypeError for an unknown field."""
    names = type(record).__match_args__  # type: ignore[attr-defined]
    copy = object.__new__(type(record))
    values = copy.__dict__
    values.update(record.__dict__)
    if len(values) != len(names):  # cached properties of the old values
        for name in values.keys() - names:
            del values[name]
    values.update(changes)
    if len(values) != len(names):
        raise TypeError(f"{type(record).__name__} has no fields {values.keys() - names}")
    return copy


def _decorate(cls: type[Record], order: bool) -> type[Record]:
    names = tuple(getattr(cls, "__annotations__", ()))
    key = attrgetter(*names) if names else lambda record: ()
    given = {**_comparison(cls, key), **(_ordering(cls, key) if order else {})}
    given |= {"__init__": _init(cls, names), "__repr__": _repr(names)}
    given |= {"__setattr__": _refuse, "__delattr__": _refuse}
    for name, value in {
        **given,
        "__match_args__": names,
        "__dataclass_fields__": _Fields(),
    }.items():
        setattr(cls, name, value)
    return cls


def _init(cls: type, names: tuple[str, ...]) -> _Method:
    """Compile __init__, whose parameters are the fields with their defaults."""
    scope: dict[str, Any] = {f"_{name}": vars(cls)[name] for name in names if name in vars(cls)}
    parameters = [f"{name}=_{name}" if f"_{name}" in scope else name for name in names]
    lines = [f" __setattr__(self, {name!r}, {name})" for name in names] or [" pass"]
    scope["__setattr__"] = object.__setattr__
    exec("\n".join([f"def __init__({', '.join(['self', *parameters])}):", *lines]), scope)
    init: _Method = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _comparison(cls: type, key: _Method) -> dict[str, _Method]:
    def equals(self: object, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is cls else NotImplemented

    return {"__eq__": equals, "__hash__": lambda self: hash(key(self))}


def _ordering(cls: type, key: _Method) -> dict[str, _Method]:
    """Make < and <=. Python derives > and >= from them."""

    def is_less(self: object, other: object) -> Any:
        return key(self) < key(other) if other.__class__ is cls else NotImplemented

    def is_not_more(self: object, other: object) -> Any:
        return key(self) <= key(other) if other.__class__ is cls else NotImplemented

    return {"__lt__": is_less, "__le__": is_not_more}


def _repr(names: tuple[str, ...]) -> _Method:
    def shown(self: object) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({fields})"

    return shown


def _refuse(self: object, name: str, *value: object) -> None:
    raise AttributeError(f"{type(self).__qualname__} is frozen: {name} cannot be set or deleted")


class _Fields:
    """The attribute that the standard module reads, made on first use: never in an agent."""

    def __get__(self, record: object, cls: Any) -> Any:
        import dataclasses

        made: Any = dataclasses.make_dataclass(cls.__name__, cls.__annotations__.items())
        cls.__dataclass_fields__ = made.__dataclass_fields__
        return made.__dataclass_fields__


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:
    dataclass, replace = _dataclass, _replace
