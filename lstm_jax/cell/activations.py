"""The activation functions of the paper (eqs. 3-5), each with its derivative.

Every derivative is a function of the activation, not of the net input, so that a backward pass
needs only the activations: f' = f (1 - f), g' = (4 - g²) / 4, h' = (1 - h²) / 2.

| name        | range   | formula           | in the paper                     |
|-------------|---------|-------------------|----------------------------------|
| `logistic`  | [0, 1]  | 1 / (1 + exp(-x)) | f, eq. 3: gates and output units |
| `centred_1` | [-1, 1] | 2 f(x) - 1        | h, eq. 4: cell output            |
| `centred_2` | [-2, 2] | 4 f(x) - 2        | g, eq. 5: cell input             |
| `tanh`      | [-1, 1] | tanh(x)           | not in the paper                 |
| `identity`  | real    | x                 | h of tasks 2a and 2b             |

Output units may also be a softmax, which is a function of all of their net inputs together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Activation(NamedTuple):
    """An activation function and its derivative, as a function of the activation.

    Attributes:
      function: maps net inputs [...] to activations [...].
      derivative: maps activations [...] to the derivatives [...] at the net inputs that gave them.
    """

    function: Callable[[jax.Array], jax.Array]
    derivative: Callable[[jax.Array], jax.Array]

    def __call__(self, net: jax.Array) -> jax.Array:
        """Return the activations of net inputs."""
        return self.function(net)


# 2 f(x) - 1 = tanh(x / 2), which is exact in both tails, where 2 f(x) - 1 cancels.
ACTIVATIONS: dict[str, Activation] = {
    "logistic": Activation(jax.nn.sigmoid, lambda y: y * (1 - y)),
    "centred_1": Activation(lambda x: jnp.tanh(x / 2), lambda y: (1 - y * y) / 2),
    "centred_2": Activation(lambda x: 2 * jnp.tanh(x / 2), lambda y: 1 - y * y / 4),
    "tanh": Activation(jnp.tanh, lambda y: 1 - y * y),
    "identity": Activation(lambda x: x, jnp.ones_like),
}

logistic = ACTIVATIONS["logistic"]

OUTPUTS = (*ACTIVATIONS, "softmax")  # of output units


def activate_outputs(name: str, net: jax.Array, axis: int) -> jax.Array:
    """Return the activations of output units, one of `OUTPUTS`, whose net inputs lie on an axis."""
    return jax.nn.softmax(net, axis) if name == "softmax" else ACTIVATIONS[name](net)
