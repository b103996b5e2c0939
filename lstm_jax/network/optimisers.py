"""Optimisers by name, and a check of optimisers that users supply."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

DECAY_STEPS = 5000  # updates after which the inverse-square-root schedule begins to fall


def make_optimiser(name: str, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Return the optimiser of a `Hyperparameters.optimiser`; the learning rate is the paper's a."""
    return _OPTIMISERS[name](learning_rate)


def make_injected_optimiser(name: str, learning_rate: float) -> optax.GradientTransformation:
    """Return the same optimiser with its learning rate in its state, by `optax.inject_hyperparams`.

    Trials with different learning rates then share one compiled program. The last bits of updates
    differ from those of `make_optimiser`, whose constant rate lets XLA rearrange products.
    """
    return optax.inject_hyperparams(_OPTIMISERS[name])(learning_rate)


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
    optimiser: optax.GradientTransformation, weights: optax.Params | None = None
) -> None:
    """Raise ValueError if an optimiser needs more than the gradient, as line searches do.

    `weights` are the pytree that it will update; None: a single number.
    """
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(f"optimiser must be one of optax, such as sgd(0.1), got {optimiser!r}")
    if not isinstance(optimiser, optax.GradientTransformationExtraArgs):
        return
    tree = jax.ShapeDtypeStruct((), jnp.float32) if weights is None else weights
    try:
        with jax.numpy_dtype_promotion("standard"):
            jax.eval_shape(lambda w: optimiser.update(w, optimiser.init(w), w), tree)
    except TypeError as error:
        raise ValueError(
            f"optimiser must need the gradient alone, but {str(error).splitlines()[0]}"
        ) from error
