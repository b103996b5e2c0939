"""Which of optax's optimisers a method can use: those that need a gradient and no more."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import optax


def check_optimiser(optimiser: optax.GradientTransformation) -> None:
    """Raises ValueError if an optimiser needs the error itself, as line searches do.

    >>> check_optimiser(optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau()))
    Traceback (most recent call last):
    ValueError: optimiser must need a gradient alone, but reduce_on_plateau needs 'value' as well
    """
    if not isinstance(optimiser, optax.GradientTransformationExtraArgs):
        return
    weight = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        with jax.numpy_dtype_promotion("standard"):
            jax.eval_shape(lambda w: optimiser.update(w, optimiser.init(w), w), weight)
    except TypeError as error:
        found = re.search(r"(\w+)\.<locals>.* required keyword-only arguments?: (.*)", str(error))
        if found is None:
            raise
        raise ValueError(
            f"optimiser must need a gradient alone, but {found[1]} needs {found[2]} as well"
        ) from None
