"""Losses of the output units (eqs. 16, 19).

With y_k = f(net_k), the target t_k, and e_k minus the derivative of the loss by net_k:

| loss                          | e_k                         | source                             |
|-------------------------------|-----------------------------|------------------------------------|
| E / 2                         | f'(net_k) (t_k - y_k)       | the paper, eqs. 16 and 19          |
| cross entropy                 | t_k - y_k                   | the same without f'                |
| E / 2 + c times cross entropy | (f'(net_k) + c) (t_k - y_k) | c = 0.1: Fahlman (1988), against   |
|                               |                             | flat spots, where f' is nearly 0   |

Each is a function of a whole sequence, with its true derivative. A `Loss` names one of them.

| outputs                        | `output`   | loss                     | its e_k   |
|--------------------------------|------------|--------------------------|-----------|
| numbers (regression, forecast) | "identity" | `half_squared_error`     | t_k - y_k |
| one of K classes               | "softmax"  | `softmax_cross_entropy`  | t_k - y_k |
| K independent properties       | "logistic" | `cross_entropy`          | t_k - y_k |

The cross entropies take the net inputs of the output units, as `apply` returns them for
`net_inputs_only(architecture)`. The gradient from there on is the one that `apply` is asked for.

Reference:
  S. E. Fahlman. Faster-learning variations on back-propagation: an empirical study. Proceedings of
  the 1988 Connectionist Models Summer School, 38-51, 1988.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lstm_jax.cell.activations import activate_outputs, logistic, output_activations
from lstm_jax.cell.architecture import AnyNetwork, check_outputs
from lstm_jax.cell.named import Named
from lstm_jax.cell.pytrees import static
from lstm_jax.cell.validation import (
    as_array,
    as_float,
    as_real,
    as_shaped,
    check_choice,
    check_symbols,
    check_tolerance,
    check_type,
    convert_fields,
    widest,
)


def half_squared_error(
    outputs: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """Return E / 2 = 1/2 Σ_t Σ_k (t_k(t) - y_k(t))², summed over steps, output units and lanes.

    Its derivative is the paper's e_k (eq. 19), which is half the derivative of E (eq. 16).

    >>> half_squared_error(jnp.array([0.5, 1.0]), jnp.array([1.0, 1.0]))
    Array(0.125, dtype=float32)

    Args:
      outputs: [K] or [T, K].
      targets: the same shape.
      weights: [T], the weight of each step; None: 1. The targets of a step of weight 0 may be
        anything, NaN included.

    Arrays may be floating, integer or bool. The loss has the widest floating dtype among them.

    Raises:
      ValueError: if the shapes do not fit.
    """
    return _half_squared_error(*_as_arrays("outputs", outputs, targets, weights))


@functools.partial(jax.jit, inline=True)
def _half_squared_error(
    outputs: jax.Array, targets: jax.Array, weights: jax.Array | None
) -> jax.Array:
    errors = targets - outputs
    if weights is None:
        return jnp.sum(optax.l2_loss(errors))
    weights = weights[:, None]
    errors = jnp.where(weights.astype(bool), errors, 0)
    return jnp.sum(optax.l2_loss(errors) * weights.astype(errors.dtype))


def cross_entropy(
    net: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tolerance: float = 0.0,
) -> jax.Array:
    """Return - Σ_t Σ_k t_k log f(net_k) + (1 - t_k) log(1 - f(net_k)), f logistic.

    `net`, [K] or [T, K] floating, are the net inputs of the output units. The other arguments and
    errors are those of `half_squared_error`, with targets in [0, 1]. Outputs within `tolerance`, at
    least 0, of their targets add nothing.

    >>> cross_entropy(jnp.array([0.0]), jnp.array([1.0]))  # log 2
    Array(0.6931472, dtype=float32)
    """
    check_tolerance(tolerance)
    return _cross_entropy(float(tolerance), *_as_arrays("net", net, targets, weights))


@functools.partial(jax.jit, static_argnums=0, inline=True)
def _cross_entropy(
    tolerance: float, net: jax.Array, targets: jax.Array, weights: jax.Array | None
) -> jax.Array:
    counts = jnp.ones((), bool)
    if weights is not None:
        weights = weights[:, None]
        counts = weights.astype(bool)
        targets = jnp.where(counts, targets, 0)
    if tolerance:
        counts = counts & ~(jnp.abs(logistic(net) - targets) <= tolerance)
    terms = jnp.where(counts, _entropies(net, targets), 0)
    return jnp.sum(terms if weights is None else terms * weights.astype(net.dtype))


@jax.custom_jvp
def _entropies(net: jax.Array, target: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(net, target)


# The derivative f(net) - t in closed form, where f' cancels.
_entropies.defjvps(
    lambda by_net, _, net, target: (logistic(net) - target) * by_net,
    lambda by_target, _, net, target: -net * by_target,
)


def softmax_cross_entropy(
    net: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    class_weights: ArrayLike | None = None,
) -> jax.Array:
    """Return - Σ_t Σ_k c_k t_k log softmax(net)_k, for classes that exclude each other.

    >>> net = jnp.log(jnp.array([0.5, 0.25, 0.25]))
    >>> [round(float(softmax_cross_entropy(net, target)), 4) for target in (0, [1.0, 0.0, 0.0])]
    [0.6931, 0.6931]

    Args:
      net: [K] or [T, K] floating, the net inputs of the output units.
      targets: [] or [T] integers in [0, K), the classes; or the shape of `net`, probabilities, such
        as one-hot vectors. Under `jit`, a class outside [0, K) has no loss.
      weights: [T] bool or floating, the weight of each step; None: 1. The targets of a step of
        weight 0 may be anything.
      class_weights: [K], c, the weight of each class, for classes that are rare; None: 1.

    Raises:
      ValueError: if the arrays do not fit each other, or a class is outside [0, K).
    """
    net, targets = as_array("net", net), as_array("targets", targets)
    if not jnp.issubdtype(net.dtype, jnp.floating) or net.ndim == 0:
        raise ValueError(f"net must be floating [K] or [T, K], got {net.dtype} {net.shape}")
    axis = 0 if net.ndim == 1 else 1
    is_classes = targets.shape == net.shape[:axis] + net.shape[axis + 1 :]
    if is_classes and jnp.issubdtype(targets.dtype, jnp.integer):
        steps = None if weights is None else as_array("weights", weights).astype(bool)
        check_symbols("targets", targets[None] if axis == 0 else targets, net.shape[axis], steps)
        targets = jax.nn.one_hot(targets, net.shape[axis], dtype=net.dtype, axis=axis)
    net, targets, weights = _as_arrays("net", net, targets, weights)
    if weights is not None:
        weights = weights[:, None]
        targets = jnp.where(weights.astype(bool), targets, 0) * weights.astype(net.dtype)
    if class_weights is not None:
        class_weights = as_shaped("class_weights", class_weights, (net.shape[axis],))
        others = [i for i in range(net.ndim) if i != axis]
        targets = targets * jnp.expand_dims(class_weights.astype(net.dtype), others)
    return jnp.sum(optax.softmax_cross_entropy(net, targets, axis))


def ignore_within_tolerance(
    outputs: jax.Array, targets: jax.Array, tolerance: jax.Array | float | None
) -> jax.Array:
    """Replace outputs within the tolerance of their targets by these, so that no error is left.

    >>> ignore_within_tolerance(jnp.array([0.1, 0.5, 0.9]), jnp.array([0.0, 0.0, 1.0]), 0.2)
    Array([0. , 0.5, 1. ], dtype=float32)

    Outputs and targets are [..., K]. The tolerance is a number, or [...], one per step; None
    changes nothing.
    """
    if tolerance is None:
        return outputs
    if jnp.ndim(tolerance):
        tolerance = jnp.asarray(tolerance)[..., None]
    targets = targets.astype(outputs.dtype)
    return jnp.where(jnp.abs(outputs - targets) <= tolerance, targets, outputs)


@static
@dataclasses.dataclass(frozen=True)
class Loss:
    """A weighted sum of E / 2 and the cross entropy, beyond a tolerance.

    The cross entropy is that of the output units, `cross_entropy` or `softmax_cross_entropy`. Of
    logistic ones e_k = (squared f'(net_k) + cross_entropy) (t_k - y_k), and 0 within the tolerance.

    >>> net, target = jnp.array([2.0]), jnp.array([0.0])
    >>> gradients = [jax.grad(loss)(net, target) for loss in (Loss(), LOSSES["cross_entropy"])]
    >>> [round(float(gradient[0]), 4) for gradient in gradients]
    [0.0925, 0.8808]

    Attributes:
      squared: weight of E / 2, not negative.
      cross_entropy: weight of the cross entropy, not negative; unless it is 0, output units must be
        logistic or a softmax.
      tolerance: outputs within this distance of their target have no error; not negative, and 0 for
        a softmax.

    Raises:
      ValueError: if a field is negative or not finite, or both weights are 0.
    """

    squared: float = 1.0
    cross_entropy: float = 0.0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        convert_fields(self, functools.partial(as_float, least=0.0), *vars(self))
        if not (self.squared or self.cross_entropy):
            raise ValueError("squared and cross_entropy must not both be 0")

    def check(self, output: str) -> None:
        """Raise ValueError unless the loss is defined for an activation of the output units."""
        check_choice("output", output, output_activations())
        if self.cross_entropy and output not in ("logistic", "softmax"):
            wanted = "output units 'logistic' or 'softmax'"
            raise ValueError(f"the cross entropy needs {wanted}, got {output!r}")
        if self.tolerance and output == "softmax":
            raise ValueError(f"tolerance must be 0 for output 'softmax', got {self.tolerance}")

    def __call__(
        self,
        net: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        output: str = "logistic",
    ) -> jax.Array:
        """Return the loss of a sequence, summed over steps, output units and lanes.

        `net` and the other arrays are those of `cross_entropy`: `net` is what `apply` returns for
        an architecture whose `output` is "identity". The argument `output` is the activation
        function of the output units, as of `Architecture`.
        """
        self.check(output)
        return _loss(self, output, *_as_arrays("net", net, targets, weights))


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _loss(
    loss: Loss, output: str, net: jax.Array, targets: jax.Array, weights: jax.Array | None
) -> jax.Array:
    terms = []
    if loss.squared:
        outputs = activate_outputs(output, net, axis=0 if net.ndim == 1 else 1)
        outputs = ignore_within_tolerance(outputs, targets, loss.tolerance or None)
        terms.append((loss.squared, _half_squared_error(outputs, targets, weights)))
    if loss.cross_entropy and output == "softmax":
        terms.append((loss.cross_entropy, softmax_cross_entropy(net, targets, weights)))
    elif loss.cross_entropy:
        entropy = _cross_entropy(loss.tolerance, net, targets, weights)
        terms.append((loss.cross_entropy, entropy))
    first, *rest = (term if factor == 1 else factor * term for factor, term in terms)
    return sum(rest, first)


class NamedLosses(Named[Loss]):
    """Losses by name; `Loss` makes others.

    "squared" is the paper's, E / 2; "cross_entropy" that of labels, for logistic or softmax output
    units; "squared_and_cross_entropy" the first and a tenth of the second.

    >>> LOSSES["cross_entropy"]
    Loss(squared=0.0, cross_entropy=1.0, tolerance=0.0)
    """


HALF_SQUARED = Loss()  # the paper's
LOSSES = NamedLosses(
    {
        "squared": HALF_SQUARED,
        "cross_entropy": Loss(squared=0.0, cross_entropy=1.0),
        "squared_and_cross_entropy": Loss(cross_entropy=0.1),
    }
)


def check_loss(architecture: AnyNetwork, loss: Loss) -> None:
    """Raise ValueError unless a loss is defined for the output units of a network."""
    check_outputs(architecture)
    check_type("loss", loss, Loss)
    loss.check(architecture.output)


def _as_arrays(
    name: str, outputs: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Convert the arguments of a loss to arrays that fit each other, of the widest dtype."""
    outputs, targets = as_real(name, outputs), as_real("targets", targets)
    if targets.shape != outputs.shape:
        raise ValueError(f"targets must have shape {outputs.shape}, got {targets.shape}")
    weights = None if weights is None else as_real("weights", weights)
    dtype = widest(outputs, targets, *([] if weights is None else [weights]))
    outputs, targets = outputs.astype(dtype), targets.astype(dtype)
    if weights is None:
        return outputs, targets, None
    if outputs.ndim < 2 or weights.shape != outputs.shape[:1] + outputs.shape[2:]:
        shapes = f"{weights.shape} for {outputs.shape}"
        raise ValueError(f"weights must be [T] for {name} [T, K], got {shapes}")
    return outputs, targets, weights
