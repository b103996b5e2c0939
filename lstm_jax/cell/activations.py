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
`register_activation` adds a function of your own to `ACTIVATIONS`, under a name that
`Architecture` then takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.named import Named
from lstm_jax.cell.validation import require


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


class NamedActivations(Named[Activation]):
    """The activation functions by name, as `Architecture` takes them.

    `register_activation` adds to them. Their formulas are in `lstm_jax.cell.activations`.

    >>> float(ACTIVATIONS["centred_2"](jnp.float32(0)))
    0.0
    """


# 2 f(x) - 1 = tanh(x / 2), which is exact in both tails, where 2 f(x) - 1 cancels.
_activations: dict[str, Activation] = {
    "logistic": Activation(jax.nn.sigmoid, lambda y: y * (1 - y)),
    "centred_1": Activation(lambda x: jnp.tanh(x / 2), lambda y: (1 - y * y) / 2),
    "centred_2": Activation(lambda x: 2 * jnp.tanh(x / 2), lambda y: 1 - y * y / 4),
    "tanh": Activation(jnp.tanh, lambda y: 1 - y * y),
    "identity": Activation(lambda x: x, jnp.ones_like),
}
ACTIVATIONS = NamedActivations(_activations)
BOUNDED = ("logistic", "centred_1", "centred_2", "tanh")  # as far as is known

logistic = ACTIVATIONS["logistic"]

# Where a function of the user's is compared with its derivative: not at 0, a corner of many.
POINTS = np.linspace(-4.05, 3.95, 81)
TOLERANCE = 1e-5


def register_activation(
    name: str,
    function: Callable[[jax.Array], jax.Array],
    derivative: Callable[[jax.Array], jax.Array],
) -> Activation:
    """Add an activation function to `ACTIVATIONS`, for the fields of `Architecture`.

    Networks in files keep its name: a program that loads them has to register it first. A name
    stands for one function for good, because compiled programs know it by its name.

    >>> _ = register_activation("softsign", jax.nn.soft_sign, lambda y: (1 - jnp.abs(y)) ** 2)
    >>> from lstm_jax.cell.architecture import Architecture
    >>> Architecture(num_inputs=3, blocks=(2,), num_outputs=1, cell_input="softsign").cell_input
    'softsign'

    Args:
      name: a new name; or one that was registered with the same function.
      function: maps net inputs [...] to activations [...], elementwise and differentiably.
      derivative: maps activations [...] to the derivatives [...] at the net inputs that gave them,
        so that these need not be stored. A function without such a form, one that gives the same
        activation at two places with different derivatives, cannot be used.

    Returns:
      The activation.

    Raises:
      ValueError: if the name stands for another function, or the derivative is not that of the
        function, as automatic differentiation finds it at 81 points in [-4.05, 3.95].
    """
    require(isinstance(name, str) and name.isidentifier(), "name", "an identifier", name)
    for argument, value in (("function", function), ("derivative", derivative)):
        require(callable(value), argument, "a function", value)
    activation = Activation(function, derivative)
    values = _check_derivative(activation)
    require(name != "softmax", "name", "another one than that of a softmax", name)
    if name in _activations:
        with jax.enable_x64(True):
            is_same = np.allclose(_activations[name](jnp.asarray(POINTS)), values)
        require(is_same, "name", "a new one, or one of the same function", name)
    return _activations.setdefault(name, activation)


def _check_derivative(activation: Activation) -> np.ndarray:
    """Return the values at `POINTS`; raise ValueError if the derivative is not the function's."""
    with jax.enable_x64(True):
        points = jnp.asarray(POINTS)
        values = activation(points)
        require(jnp.shape(values) == points.shape, "function", "elementwise", jnp.shape(values))
        found = np.broadcast_to(activation.derivative(values), points.shape)
        by_point = jax.vmap(jax.value_and_grad(activation.function))(points)
        one_by_one, expected = map(np.asarray, by_point)
    values = np.asarray(values)
    require(np.allclose(values, one_by_one), "function", "elementwise", activation.function)
    for x, mine, exact in zip(POINTS, found, expected, strict=True):
        if not abs(mine - exact) <= TOLERANCE * max(1.0, abs(exact)):
            raise ValueError(f"derivative must be {exact:.6g} at net input {x:.4g}, got {mine:.6g}")
    return values


def output_activations() -> tuple[str, ...]:
    """Return the names of the activations that output units may have."""
    return (*ACTIVATIONS, "softmax")


def activate_outputs(name: str, net: jax.Array, axis: int) -> jax.Array:
    """Return the activations of output units whose net inputs lie on an axis."""
    return jax.nn.softmax(net, axis) if name == "softmax" else ACTIVATIONS[name](net)
