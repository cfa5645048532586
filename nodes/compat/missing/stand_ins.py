"""Objects that packs import in place of parts of ComfyUI that Sumi does not have.

A class can be named in ``isinstance`` and in type hints, and can be subclassed; a function can be imported. The first
real use raises MissingPartError, whose message names the part.
"""

from __future__ import annotations

import logging
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NoReturn

from nodes.compat.missing.errors import MissingPartError, missing_part

log = logging.getLogger(__name__)

_PART: Final = "__missing_part__"
_REASON: Final = "__missing_reason__"


class MissingClass(ABCMeta):
    """The type of stand-in classes. Classes that packs derive from one have this type too."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise MissingPartError."""
        raise _error_of(cls)

    def __getattr__(cls, name: str) -> MissingValue:
        """Return a stand-in for the attribute: packs save methods before they replace them."""
        if name.startswith("__"):
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        return MissingValue(f"{_part_of(cls)}.{name}", _reason_of(cls))

    def __setattr__(cls, name: str, value: Any) -> None:
        """Set an attribute; for a stand-in itself, log that this has no effect."""
        if vars(cls).get(_PART) and not name.startswith("_"):
            log.warning("%s of %s is replaced by a node pack, without effect in Sumi", name, _part_of(cls))
        super().__setattr__(name, value)


class MissingValue:
    """Stands for a function or a value."""

    def __init__(self, part: str, reason: str):
        self.__dict__.update({_PART: part, _REASON: reason, "__name__": part.rpartition(".")[2]})

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise MissingPartError."""
        raise self._error()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._error()

    def __iter__(self) -> NoReturn:
        raise self._error()

    def __len__(self) -> NoReturn:
        raise self._error()

    def __getitem__(self, key: Any) -> NoReturn:
        raise self._error()

    def __contains__(self, item: Any) -> NoReturn:
        raise self._error()

    def __repr__(self) -> str:
        return f"<{self.__dict__[_PART]}, which Sumi does not have>"

    def _error(self) -> MissingPartError:
        return missing_part(self.__dict__[_PART], self.__dict__[_REASON])


def stand_in(part: str, reason: str) -> Any:
    """A class if the name begins with a capital letter and is not all capitals, else a function."""
    module, _, name = part.rpartition(".")
    bare = name.lstrip("_")
    if not bare[:1].isupper() or (bare.isupper() and len(bare) > 4):
        return MissingValue(part, reason)
    made = {"__module__": module, "__doc__": f"{part}, which Sumi does not have.", _PART: part, _REASON: reason}
    return MissingClass(name, (), made)


def is_stand_in(value: Any) -> bool:
    """Return whether ``value`` stands for a part that Sumi does not have."""
    return isinstance(value, MissingValue) or (isinstance(value, MissingClass) and _PART in vars(value))


def attributes(module: ModuleType, name: str, find: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of ``module``, which packs know as ``name``.

    The module's own function of that name comes first, then ``find``, which returns None for a name that ComfyUI's
    module does not have either. Each object is made once. Raises AttributeError.
    """
    own = vars(module).get("__getattr__")

    def get(attribute: str) -> Any:
        if own is not None:
            try:
                return own(attribute)
            except AttributeError:
                pass
        found = None if attribute.startswith("__") else find(attribute)
        if found is None:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r} in Sumi", name=attribute, obj=module)
        vars(module)[attribute] = found
        return found

    return get


def _part_of(cls: type) -> str:
    return next((vars(base)[_PART] for base in cls.__mro__ if _PART in vars(base)), cls.__qualname__)


def _reason_of(cls: type) -> str:
    return next((vars(base)[_REASON] for base in cls.__mro__ if _REASON in vars(base)), "")


def _error_of(cls: type) -> MissingPartError:
    return missing_part(_part_of(cls), _reason_of(cls))
