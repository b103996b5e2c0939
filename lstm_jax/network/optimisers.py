"""Optimisers by name, and a check of optimisers that users supply."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

DECAY_STEPS = 5000  # updates after which the inverse-square-root schedule begins to fall


class NamedOptimiser(optax.GradientTransformationExtraArgs):
    """An optimiser that is pickled by what made it, unlike optax's closures."""

    made_by: tuple

    def __reduce__(self) -> tuple:
        return self.made_by


class InjectedOptimiser(NamedOptimiser):
    """An optimiser with its learning rate in its state, of `make_injected_optimiser`."""


@functools.lru_cache(maxsize=16)  # so that equal update rules have the same optimiser
def make_optimiser(name: str, learning_rate: float) -> NamedOptimiser:
    """Return the optimiser of a `Hyperparameters.optimiser`; the learning rate is the paper's a."""
    optimiser = NamedOptimiser(*_OPTIMISERS[name](learning_rate))
    optimiser.made_by = make_optimiser, (name, learning_rate)
    return optimiser


@functools.lru_cache(maxsize=16)
def make_injected_optimiser(name: str, learning_rate: float) -> InjectedOptimiser:
    """Return the same optimiser with its learning rate in its state, by `optax.inject_hyperparams`.

    Programs are then compiled once for all learning rates. The last bits of updates may differ from
    those of `make_optimiser`, whose constant rate lets XLA rearrange products.
    """
    optimiser = InjectedOptimiser(*optax.inject_hyperparams(_OPTIMISERS[name])(learning_rate))
    optimiser.made_by = make_injected_optimiser, (name, learning_rate)
    return optimiser


def _adam_inverse_sqrt(learning_rate: float | jax.Array) -> optax.GradientTransformation:
    def schedule(count: jax.typing.ArrayLike) -> jax.Array:
        return learning_rate / jnp.sqrt(1 + jnp.asarray(count, jnp.float32) / DECAY_STEPS)

    return optax.adam(schedule)


# Functions of the learning rate alone: `inject_hyperparams` would trace other arguments too.
_OPTIMISERS: dict[str, Callable[[float | jax.Array], optax.GradientTransformation]] = {
    "sgd": lambda learning_rate: optax.sgd(learning_rate),
    "adam": lambda learning_rate: optax.adam(learning_rate),
    "adam_inverse_sqrt": _adam_inverse_sqrt,
}


def check_optimiser(
    optimiser: optax.GradientTransformation, weights: optax.Params, **extra_args: ArrayLike
) -> None:
    """Raise ValueError unless an optimiser trains such weights by their gradient alone.

    It may need the `extra_args` too. Line searches need more. A mask or labels of another structure
    do not fit the weights.
    """
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(f"optimiser must be one of optax, such as sgd(0.1), got {optimiser!r}")

    def update(weights: optax.Params) -> tuple:
        state = optimiser.init(weights)
        takes = optax.with_extra_args_support(optimiser)
        return state, takes.update(weights, state, weights, **extra_args)

    try:
        with jax.numpy_dtype_promotion("standard"):
            state, (updates, new_state) = jax.eval_shape(update, weights)
    except Exception as error:  # whatever optax, or a transformation of the user's, raises
        needs_more = isinstance(error, TypeError) and "missing" in str(error)
        allowed = "need the gradient alone" if needs_more else "fit the weights"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"optimiser must {allowed}, but {reason}") from error
    for name, found, like in (("updates", updates, weights), ("state", new_state, state)):
        if _shapes(found) != _shapes(like):
            raise ValueError(f"optimiser must keep the structure and shapes of its {name}")


def _shapes(tree: optax.Params) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [jnp.shape(leaf) for leaf in leaves]
