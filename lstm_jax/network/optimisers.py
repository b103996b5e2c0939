"""Which of optax's optimisers learning can use: those that need a gradient and no more."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import optax


def check_optimiser(
    optimiser: optax.GradientTransformation, weights: optax.Params | None = None
) -> None:
    """Raises ValueError if this is no optimiser, or one that needs the error, as line searches do.

    >>> check_optimiser(optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau()))
    Traceback (most recent call last):
    ValueError: optimiser must need a gradient alone, but reduce_on_plateau needs 'value' as well

    Args:
      optimiser: optax's, or one like it.
      weights: that it is to be used on, a pytree; None: a single one.
    """
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(
            f"optimiser must be one of optax, such as optax.sgd(0.1), got {optimiser!r}"
        )
    if not isinstance(optimiser, optax.GradientTransformationExtraArgs):
        return
    on = jax.ShapeDtypeStruct((), jnp.float32) if weights is None else weights
    try:
        with jax.numpy_dtype_promotion("standard"):
            jax.eval_shape(lambda w: optimiser.update(w, optimiser.init(w), w), on)
    except TypeError as error:
        found = re.search(r"(\w+)\.<locals>.* required keyword-only arguments?: (.*)", str(error))
        if found is None:
            raise
        raise ValueError(
            f"optimiser must need a gradient alone, but {found[1]} needs {found[2]} as well"
        ) from None
