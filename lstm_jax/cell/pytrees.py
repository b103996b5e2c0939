"""Registration of the library's classes with JAX, as class decorators."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TypeVar

import jax
from jax import export

Class = TypeVar("Class", bound=type)


def exportable(cls: Class) -> Class:
    """Let `jax.export` write functions of a named tuple, a pytree, to files."""
    register(cls, f"lstm_jax.{cls.__name__}")
    return cls


def register(cls: type, name: str) -> None:
    """Register a named tuple for `jax.export` unless it is registered already."""
    with contextlib.suppress(ValueError):  # by another library, or before the module was reloaded
        export.register_namedtuple_serialization(cls, serialized_name=name)


def static(cls: Class) -> Class:
    """Make a frozen dataclass of JSON values a pytree without leaves, for `jax.export` too.

    An argument of this class needs no `static_argnums` under `jit`; it is part of the program.
    """
    jax.tree_util.register_static(cls)

    def from_json(text: bytes) -> object:
        return cls(**json.loads(text))

    with contextlib.suppress(ValueError):  # registered before: the module is reloaded
        export.register_pytree_node_serialization(
            cls,
            serialized_name=f"lstm_jax.{cls.__name__}",
            serialize_auxdata=lambda value: json.dumps(dataclasses.asdict(value)).encode(),
            deserialize_auxdata=from_json,
        )
    return cls
