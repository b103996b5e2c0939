"""Compilation of the library's functions: once each, inside other programs and on any mesh."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
from jax.sharding import PartitionSpec

Function = TypeVar("Function", bound=Callable)


def compiled(
    num_static: int = 0, results_like: Callable[..., object] | None = None
) -> Callable[[Function], Function]:
    """Compile a function whose first arguments are static; a decorator.

    Inside another compiled function it leaves no trace. On a mesh with explicit axes the compiler
    shards what is computed. The results are then on all devices, except where `results_like`
    returns, for the arguments that are not static, a pytree of theirs whose sharding results keep.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def on_any_mesh(*arguments: object) -> object:
            if not jax.sharding.get_abstract_mesh().explicit_axes:
                return function(*arguments)
            static, arrays = arguments[:num_static], arguments[num_static:]
            like = PartitionSpec() if results_like is None else results_like(*arrays)
            run = functools.partial(function, *static)
            return jax.sharding.auto_axes(run, out_sharding=like)(*arrays)

        return jax.jit(on_any_mesh, static_argnums=range(num_static), inline=True)  # type: ignore

    return decorate


def shardings(tree: object) -> object:
    """Return how the arrays of a pytree are sharded."""
    return jax.tree.map(lambda array: jax.typeof(array).sharding.spec, tree)
