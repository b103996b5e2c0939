"""Functions of tasks that can be compared, hashed and pickled: generators and criteria.

Unlike closures they make tasks with the same arguments equal, so that trials share compiled
programs, and they travel to worker processes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

from lstm_jax.cell.validation import as_float
from lstm_jax.tasks.task import Data, Example

ResultT = TypeVar("ResultT")


@dataclasses.dataclass(frozen=True)
class Bound(Generic[ResultT]):
    """A function of a module whose first arguments are given.

    Attributes:
      fun: called with `arguments` and then its own.
      arguments: hashable.
    """

    fun: Callable[..., ResultT]
    arguments: tuple

    def __call__(self, *rest: object) -> ResultT:
        """Call the function."""
        return self.fun(*self.arguments, *rest)


@dataclasses.dataclass(frozen=True)
class Generator:
    """A `Task.sample` that needs no data: calls fun(key, *arguments).

    Attributes:
      fun: a function of a module.
      arguments: hashable.
    """

    fun: Callable[..., Example]
    arguments: tuple

    def __call__(self, key: jax.Array, data: Data) -> Example:
        """Draw a sequence from a PRNG key."""
        return self.fun(key, *self.arguments)


def within(tolerance: float) -> Callable[[jax.Array, Example], jax.Array]:
    """Return the criterion that every output is less than `tolerance` from its true target.

    >>> target = jnp.array([1.0])
    >>> example = Example(jnp.zeros((3, 1)), target, target, jnp.int32(3))
    >>> bool(within(0.3)(jnp.array([0.8]), example)), bool(within(0.3)(jnp.array([0.5]), example))
    (True, False)

    Args:
      tolerance: the bound on the absolute error of every output, positive.

    Raises:
      ValueError: if the tolerance is not positive.
    """
    tolerance = as_float("tolerance", tolerance, above=0.0)
    return Bound(_is_within, (tolerance,))


def _is_within(tolerance: float, outputs: jax.Array, example: Example) -> jax.Array:
    return jnp.all(jnp.abs(outputs - example.true_targets) < tolerance)
