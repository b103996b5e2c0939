"""The error at the output units, by which a network learns (eqs. 16, 19), and its kin.

With e_k minus the derivative of the error by net_k, where y_k = f(net_k) and t_k is the target:

| error                         | e_k                         | where from                         |
|-------------------------------|-----------------------------|------------------------------------|
| E / 2                         | f'(net_k) (t_k - y_k)       | the paper, eqs. 16 and 19          |
| cross entropy                 | t_k - y_k                   | the same, with f' left out         |
| E / 2 + c times cross entropy | (f'(net_k) + c) (t_k - y_k) | c = 0.1: Fahlman 1988, against the |
|                               |                             | flat spots, where f' is nearly 0   |

All are errors of a sequence, from what its output units saw and what it should have been. `Loss`
names one of them; each is a true function with its true derivative.

Reference:
  S. E. Fahlman. Faster-learning variations on back-propagation: an empirical study. Proceedings of
  the 1988 Connectionist Models Summer School, 38-51, 1988.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.cell.activations import ACTIVATIONS, logistic
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.validation import (
    as_array,
    as_number,
    check_choice,
    check_tolerance,
    check_type,
    displayed,
)

LARGEST = float(np.finfo(np.float32).max)


def half_squared_error(
    outputs: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """E / 2 = 1/2 Σ_t Σ_k (target_k(t) - y_k(t))², summed over steps, output units and lanes.

    The paper's updates use e_k = f'(net_k) (target_k - y_k) (eq. 19): half the derivative of its
    E (eq. 16).

    >>> half_squared_error(jnp.array([0.5, 1.0]), jnp.array([1.0, 1.0]))
    Array(0.125, dtype=float32)

    Args:
      outputs: [K] or [T, K].
      targets: the same shape.
      weights: None, or how much each step counts, [T] bool or floating. What the targets hold at
        a step of weight 0 does not matter.

    Raises:
      ValueError: if targets or weights do not have the shape that fits the outputs.
    """
    outputs, targets, weights = _as_arrays("outputs", outputs, targets, weights)
    errors = targets.astype(outputs.dtype) - outputs
    if weights is not None:
        weights = weights[:, None]
        errors = jnp.where(weights.astype(bool), errors, 0)
        return 0.5 * jnp.sum(errors * errors * weights.astype(outputs.dtype))
    return 0.5 * jnp.sum(errors * errors)


def cross_entropy(
    net: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tolerance: float = 0.0,
) -> jax.Array:
    """- Σ_t Σ_k t_k log f(net_k) + (1 - t_k) log(1 - f(net_k)), of logistic output units.

    >>> cross_entropy(jnp.array([0.0]), jnp.array([1.0]))  # log 2
    Array(0.6931472, dtype=float32)

    Args:
      net: [K] or [T, K], the net inputs of the output units.
      targets: the same shape.
      weights: as in `half_squared_error`.
      tolerance: an output as near to its target adds nothing.

    Raises:
      ValueError: if targets or weights do not have the shape that fits the net inputs, or the
        tolerance is negative.
    """
    net, targets, weights = _as_arrays("net", net, targets, weights)
    check_tolerance(tolerance)
    targets = targets.astype(net.dtype)
    counts = jnp.ones((), bool)
    if weights is not None:
        weights = weights[:, None]
        counts = weights.astype(bool)
        targets = jnp.where(counts, targets, 0)
    if tolerance:
        counts = counts & ~_is_near(logistic(net), targets, tolerance)
    terms = jnp.where(counts, _cross_entropy(net, targets), 0)
    return jnp.sum(terms if weights is None else terms * weights.astype(net.dtype))


@jax.custom_jvp
def _cross_entropy(net: jax.Array, target: jax.Array) -> jax.Array:
    return jax.nn.softplus(net) - target * net


@_cross_entropy.defjvp
def _cross_entropy_tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    """The derivative by net is f(net) - t: in closed form, f' is left out and not divided by."""
    net, target = primals
    by_net = (logistic(net) - target) * tangents[0]
    return _cross_entropy(net, target), by_net - net * tangents[1]


def ignore_within_tolerance(
    outputs: jax.Array, targets: jax.Array, tolerance: jax.Array | float | None
) -> jax.Array:
    """The outputs, but the target where it is within the tolerance.

    No error is left there, neither for the outputs nor for what is behind them.

    >>> ignore_within_tolerance(jnp.array([0.1, 0.5, 0.9]), jnp.array([0.0, 0.0, 1.0]), 0.2)
    Array([0. , 0.5, 1. ], dtype=float32)

    Args:
      outputs: [..., K], of one step or all.
      targets: the same shape.
      tolerance: a number, or [...], one a step; None: 0.
    """
    if tolerance is None:
        return outputs
    if jnp.ndim(tolerance):
        tolerance = jnp.asarray(tolerance)[..., None]
    targets = targets.astype(outputs.dtype)
    return jnp.where(_is_near(outputs, targets, tolerance), targets, outputs)


def _is_near(outputs: jax.Array, targets: jax.Array, tolerance: jax.Array | float) -> jax.Array:
    return jnp.abs(outputs - targets) <= tolerance


@dataclasses.dataclass(frozen=True)
class Loss:
    """An error: so much of E / 2, so much of the cross entropy, from some distance on.

    e_k = (squared f'(net_k) + cross_entropy) (t_k - y_k), and 0 within the tolerance.

    >>> net, target = jnp.array([2.0]), jnp.array([0.0])
    >>> slopes = [jax.grad(error)(net, target) for error in (Loss(), LOSSES["cross_entropy"])]
    >>> [round(float(slope[0]), 4) for slope in slopes]
    [0.0925, 0.8808]

    Raises:
      ValueError: if a field is negative or beyond float32, or there is no error at all.
    """

    squared: float = 1.0
    """How much of E / 2; 0 leaves it, and with it f', out."""
    cross_entropy: float = 0.0
    """How much of the cross entropy: the c of f' + c. Above 0, output units must be logistic."""
    tolerance: float = 0.0
    """An output as near to its target has no error."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= as_number(value) <= LARGEST:
                allowed = "not negative and a finite number of float32"
                raise ValueError(f"{name} must be {allowed}, got {displayed(value)}")
        if not (self.squared or self.cross_entropy):
            raise ValueError("squared and cross_entropy must not both be 0")

    def check(self, output: str) -> None:
        """Raises ValueError if output units with this squashing function cannot have the error."""
        check_choice("output", output, tuple(ACTIVATIONS))
        if self.cross_entropy and output != "logistic":
            raise ValueError(f"the cross entropy needs output units 'logistic', got {output!r}")

    def __call__(
        self,
        net: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        output: str = "logistic",
    ) -> jax.Array:
        """The error of a sequence, summed over steps, output units and lanes.

        Args:
          net: [K] or [T, K], the net inputs of the output units: what `apply` returns of an
            architecture whose `output` is "identity".
          targets: the same shape.
          weights: as in `half_squared_error`.
          output: the squashing function of the output units, a key of `ACTIVATIONS`.

        Raises:
          ValueError: if shapes do not fit, or the output units cannot have this error.
        """
        self.check(output)
        net, targets, weights = _as_arrays("net", net, targets, weights)
        terms = []
        if self.squared:
            taken = ACTIVATIONS[output](net)
            taken = ignore_within_tolerance(taken, targets, self.tolerance or None)
            terms.append(_times(self.squared, half_squared_error(taken, targets, weights)))
        if self.cross_entropy:
            entropy = cross_entropy(net, targets, weights, tolerance=self.tolerance)
            terms.append(_times(self.cross_entropy, entropy))
        return sum(terms[1:], terms[0])


HALF_SQUARED = Loss()  # the paper's

LOSSES = {
    "squared": HALF_SQUARED,
    "cross_entropy": Loss(squared=0.0, cross_entropy=1.0),
    "squared_and_cross_entropy": Loss(cross_entropy=0.1),
}


def check_loss(architecture: Architecture, error: Loss) -> None:
    """Raises ValueError unless it is an error that the output units can have."""
    check_type("error", error, Loss)
    error.check(architecture.output)


def _times(factor: float, error: jax.Array) -> jax.Array:
    return error if factor == 1 else factor * error


def _as_arrays(
    name: str, outputs: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """The arguments of an error as arrays; raises ValueError if they do not fit each other."""
    outputs, targets = as_array(name, outputs), as_array("targets", targets)
    if targets.shape != outputs.shape:
        raise ValueError(f"targets must have shape {outputs.shape}, got {targets.shape}")
    if weights is None:
        return outputs, targets, None
    weights = as_array("weights", weights)
    if outputs.ndim < 2 or weights.shape != outputs.shape[:1] + outputs.shape[2:]:
        raise ValueError(
            f"weights must be [T] for {name} [T, K], got {weights.shape} for {outputs.shape}"
        )
    return outputs, targets, weights
