"""Recurrent nets of logistic units, and their gradients by BPTT, RTRL and Elman's procedure.

A net has a recurrent layer of R units, each of which sees the inputs and the whole layer one step
before:

    net_l(t) = Σ_m w_lm x_m(t) + Σ_m w_lm y_m(t-1)
    y_l(t) = τ_l y_l(t-1) + (1 - τ_l) f(net_l(t)),  y_l(0) = 0

where τ = 0 unless the net has fixed time constants (Mozer 1992): a unit then remembers for about
1 / (1 - τ_l) steps. The K outputs depend on `connections`:

| `connections` | the outputs                                       | in the paper's comparison |
|---------------|---------------------------------------------------|---------------------------|
| "full"        | are the last K units of the recurrent layer       | RTRL on task 1            |
| "layered"     | see the recurrent layer and the inputs, same step | RTRL and BPTT on task 2a  |
| "simple"      | see the recurrent layer, same step                | Elman's net on task 1     |

The paper's nets have no bias, according to their numbers of weights; `bias` adds an input that is
always 1. Functions are for one sequence and one net.

Backpropagation through time (BPTT) computes the exact gradient of a whole sequence. The other two
gradients are computed step by step, forward in time.

Real-time recurrent learning (RTRL) computes the exact gradient. With z = (x(t), y(t-1)) and the
weight w_is from source s to unit i, the sensitivities

    p^k_is(t) = ∂y_k(t)/∂w_is
              = τ_k p^k_is(t-1) + (1 - τ_k) f'(net_k) [Σ_l w_kl p^l_is(t-1) + δ_ik z_s(t)]

are carried from step to step, R³ + R² G numbers; the gradient of a step's E / 2 is
Σ_k ∂(E/2)(t)/∂y_k(t) p^k_is(t). The weights of outputs without feedback ("layered", "simple") need
no sensitivities.

Elman's procedure propagates errors through the current step alone: the hidden layer is copied to
context units, which are treated as inputs of the next step.

References:
  P. J. Werbos. Backpropagation through time. Proc. IEEE 78(10):1550-1560, 1990.
  R. J. Williams and D. Zipser. A learning algorithm for continually running fully recurrent neural
  networks. Neural Computation 1(2):270-280, 1989.
  J. L. Elman. Finding structure in time. Cognitive Science 14(2):179-211, 1990.
  A. Cleeremans, D. Servan-Schreiber and J. L. McClelland. Finite-state automata and simple
  recurrent networks. Neural Computation 1(3):372-381, 1989.
  A. W. Smith and D. Zipser. Learning sequential structures with the real-time recurrent learning
  algorithm. International Journal of Neural Systems 1(2):125-131, 1989.
  M. C. Mozer. Induction of multiscale temporal structure. NIPS 4:275-282, 1992.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.cell.activations import logistic
from lstm_jax.cell.lanes import weighted_sum
from lstm_jax.cell.parameters import draw_weights, shape_leaf
from lstm_jax.cell.units import MaybeNone
from lstm_jax.cell.validation import as_float, as_integer, check_choice, convert_fields
from lstm_jax.network.losses import half_squared_error, ignore_within_tolerance

Connections = Literal["full", "layered", "simple"]
CarriedT = TypeVar("CarriedT")


@dataclasses.dataclass(frozen=True)
class RecurrentNet:
    """The architecture of a recurrent net without memory cells.

    >>> RecurrentNet(5, 1, 5, "layered").num_weights  # task 2a with p = 4
    36
    >>> RecurrentNet(7, 12, 7, "full").num_weights, RecurrentNet(7, 15, 7, "simple").num_weights
    (494, 435)

    Attributes:
      num_inputs: I, at least 1.
      num_hidden: the number of recurrent units that are not outputs, at least 1; at least 0 if
        "full".
      num_outputs: K, at least 1.
      connections: see the table above.
      time_constants: τ of each of the R recurrent units, in [0, 1); (): all 0.
      bias: whether units that see the inputs also see an input that is always 1.

    Raises:
      ValueError: if a field is out of its range.
    """

    num_inputs: int
    num_hidden: int
    num_outputs: int
    connections: Connections
    time_constants: tuple[float, ...] = ()
    bias: bool = False

    def __post_init__(self) -> None:
        check_choice("connections", self.connections, get_args(Connections))
        least_hidden = 0 if self.connections == "full" else 1
        for name, least in (("num_inputs", 1), ("num_hidden", least_hidden), ("num_outputs", 1)):
            convert_fields(self, functools.partial(as_integer, least=least), name)
        as_numbers = lambda name, values: tuple(as_float(name, value) for value in values)
        convert_fields(self, as_numbers, "time_constants")
        taus = self.time_constants
        if taus and (len(taus) != self.num_recurrent or not all(0 <= tau < 1 for tau in taus)):
            wanted = f"{self.num_recurrent} numbers in [0, 1)"
            raise ValueError(f"time_constants must be empty or {wanted}, got {taus}")

    @property
    def num_recurrent(self) -> int:
        """R, the number of units of the recurrent layer."""
        return self.num_hidden + self.num_outputs * (self.connections == "full")

    @property
    def num_given(self) -> int:
        """G, the number of inputs, with the bias if there is one."""
        return self.num_inputs + self.bias

    @property
    def num_weights(self) -> int:
        """W, the number of weights; equals the paper's."""
        return sum(math.prod(shape) for shape in weight_shapes(self) if shape is not None)


class Weights(NamedTuple):
    """The weights of a `RecurrentNet`, indexed [source, unit]."""

    input: jax.Array  # [G, R], into the recurrent layer; the bias is last
    recurrent: jax.Array  # [R, R]
    output: jax.Array | MaybeNone  # [R, K], from the layer to the outputs; None if "full"
    direct: jax.Array | MaybeNone  # [G, K], from the inputs to them; None unless "layered"


class SupervisedSequence(NamedTuple):
    """A sequence with its targets; with the suffix _t, one step of it. Padding comes last."""

    inputs: jax.Array  # [T, I] floating, or [T] integers for one-hot inputs; of one step [G]
    targets: jax.Array  # [T, K]
    at_steps: jax.Array  # [T] floating, the weight of each step's loss; 0 for padding
    tolerance: jax.Array | None = None  # [T], within which outputs equal targets; None: 0


def weight_shapes(net: RecurrentNet) -> Weights:
    """Return the shape of every array of weights, None for absent ones."""
    given, units, outputs = net.num_given, net.num_recurrent, net.num_outputs
    return Weights(
        input=shape_leaf(given, units),
        recurrent=shape_leaf(units, units),
        output=None if net.connections == "full" else shape_leaf(units, outputs),
        direct=shape_leaf(given, outputs) if net.connections == "layered" else None,
    )


def initialise(key: jax.Array, net: RecurrentNet, *, init_range: float = 0.2) -> Weights:
    """Draw every weight uniformly from [-init_range, init_range]."""
    if init_range <= 0:
        raise ValueError(f"init_range must be positive, got {init_range}")
    shapes: list[MaybeNone] = [*weight_shapes(net)]
    keys = jax.random.split(key, len(shapes))
    drawn = draw_weights(keys, [shape or () for shape in shapes], init_range, jnp.float32)
    return Weights(*[shape and array for shape, array in zip(shapes, drawn, strict=True)])


def as_vectors(net: RecurrentNet, inputs: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Convert [T, I] floating or [T] integer inputs to what units see, [T, G]."""
    if jnp.issubdtype(inputs.dtype, jnp.integer) and inputs.ndim == 1:
        vectors = jax.nn.one_hot(inputs, net.num_inputs, dtype=dtype)
    elif inputs.ndim == 2 and inputs.shape[1] == net.num_inputs:
        vectors = jnp.asarray(inputs, dtype)
    else:
        wanted = f"[T] integers or [T, {net.num_inputs}] floating"
        raise ValueError(f"inputs must be {wanted}, got {inputs.dtype} {inputs.shape}")
    return jnp.pad(vectors, ((0, 0), (0, 1)), constant_values=1) if net.bias else vectors


def time_constants(net: RecurrentNet, dtype: DTypeLike) -> jax.Array | None:
    """Return τ of the recurrent units, [R]; None if all are 0."""
    return jnp.array(net.time_constants, dtype) if any(net.time_constants) else None


def step(
    net: RecurrentNet, weights: Weights, y_tm1: jax.Array, x_t: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Run one step from y(t-1) [R] and x(t) [G]; return y(t) and f(net(t)), [R] each."""
    value = logistic(weighted_sum(weights.input, [x_t]) + weighted_sum(weights.recurrent, [y_tm1]))
    tau = time_constants(net, value.dtype)
    return (value if tau is None else tau * y_tm1 + (1 - tau) * value), value


def activation_derivatives(net: RecurrentNet, value: jax.Array) -> jax.Array:
    """Return ∂y_l(t)/∂net_l(t) = (1 - τ_l) f'(net_l(t)), from f(net) [..., R]."""
    tau = time_constants(net, value.dtype)
    return logistic.derivative(value) if tau is None else (1 - tau) * logistic.derivative(value)


def output_units(net: RecurrentNet, weights: Weights, y_t: jax.Array, x_t: jax.Array) -> jax.Array:
    """Return the outputs [K] of a step, from its y(t) [R] and x(t) [G]."""
    if weights.output is None:
        return y_t[-net.num_outputs :]
    net_t = weighted_sum(weights.output, [y_t])
    if weights.direct is not None:
        net_t = net_t + weighted_sum(weights.direct, [x_t])
    return logistic(net_t)


def apply(net: RecurrentNet, weights: Weights, inputs: jax.Array) -> jax.Array:
    """Return the outputs [T, K] for [T, I] floating or [T] integer inputs.

    >>> net = RecurrentNet(num_inputs=3, num_hidden=2, num_outputs=4, connections="simple")
    >>> apply(net, initialise(jax.random.key(0), net), jnp.ones((10, 3))).shape
    (10, 4)
    """
    inputs = as_vectors(net, inputs, weights.input.dtype)

    def body(y_tm1: jax.Array, x_t: jax.Array) -> tuple[jax.Array, jax.Array]:
        y_t, _ = step(net, weights, y_tm1, x_t)
        return y_t, output_units(net, weights, y_t, x_t)

    start = jnp.zeros_like(weights.recurrent[0])
    return jax.lax.scan(body, start, inputs)[1]


def bptt_gradient(
    net: RecurrentNet, weights: Weights, sequence: SupervisedSequence
) -> tuple[Weights, jax.Array]:
    """Return the exact gradient of E / 2 of a sequence (Werbos 1990), and the outputs [T, K]."""

    def loss(weights: Weights) -> tuple[jax.Array, jax.Array]:
        outputs = apply(net, weights, sequence.inputs)
        taken = ignore_within_tolerance(outputs, sequence.targets, sequence.tolerance)
        return half_squared_error(taken, sequence.targets, sequence.at_steps), outputs

    return jax.grad(loss, has_aux=True)(weights)


def output_gradient(
    net: RecurrentNet, weights: Weights, y_t: jax.Array, sequence_t: SupervisedSequence
) -> tuple[jax.Array, jax.Array | MaybeNone, jax.Array | MaybeNone, jax.Array]:
    """Return the gradient of a step's E / 2 by y(t) [R] and output weights, and the outputs [K].

    The gradients by `Weights.output` and `Weights.direct` are None where they are None.
    """
    x_t, target_t, at_step, tolerance_t = sequence_t
    outputs = output_units(net, weights, y_t, x_t)
    taken = ignore_within_tolerance(outputs, target_t, tolerance_t)
    difference = taken - target_t.astype(outputs.dtype)
    error = jnp.where(at_step != 0, at_step * difference, 0)
    if weights.output is None:
        delta_y = jnp.zeros_like(y_t).at[-net.num_outputs :].set(error)
        return delta_y, None, None, outputs
    delta_net = error * logistic.derivative(outputs)
    direct = None if weights.direct is None else jnp.outer(x_t, delta_net)
    delta_y = (weights.output * delta_net[None]).sum(1)
    return delta_y, jnp.outer(y_t, delta_net), direct, outputs


class StepGradient(NamedTuple, Generic[CarriedT]):
    """A gradient that is computed step by step, forward in time.

    Attributes:
      init: (weights) -> the state before the first step.
      step: (net, weights, state, sequence_t) -> the state, the gradient of this step's E / 2, and
        the outputs [K].
    """

    init: Callable[[Weights], CarriedT]
    step: Callable[
        [RecurrentNet, Weights, CarriedT, SupervisedSequence], tuple[CarriedT, Weights, jax.Array]
    ]


class Sensitivities(NamedTuple):
    """The state that RTRL carries."""

    y: jax.Array  # [R], y(t)
    p: jax.Array  # [R, (G + R) R], ∂y_k/∂w_is at [k, s R + i], flat for one matrix product per step


def _rtrl_init(weights: Weights) -> Sensitivities:
    (given, units), dtype = weights.input.shape, weights.input.dtype
    p = jnp.zeros((units, (given + units) * units), dtype)
    return Sensitivities(jnp.zeros(units, dtype), p)


def _rtrl_step(
    net: RecurrentNet, weights: Weights, carried: Sensitivities, sequence_t: SupervisedSequence
) -> tuple[Sensitivities, Weights, jax.Array]:
    y_t, value = step(net, weights, carried.y, sequence_t.inputs)
    z_t = jnp.concatenate([sequence_t.inputs, carried.y])
    units = net.num_recurrent
    at_once = (z_t[None, :, None] * jnp.eye(units, dtype=z_t.dtype)[:, None]).reshape(units, -1)
    through_units = weights.recurrent.T @ carried.p
    p = activation_derivatives(net, value)[:, None] * (through_units + at_once)
    tau = time_constants(net, p.dtype)
    if tau is not None:
        p = p + tau[:, None] * carried.p
    delta_y, output, direct, outputs = output_gradient(net, weights, y_t, sequence_t)
    layer = (delta_y[:, None] * p).sum(0).reshape(-1, units)
    gradient = Weights(layer[: net.num_given], layer[net.num_given :], output, direct)
    return Sensitivities(y_t, p), gradient, outputs


def _elman_init(weights: Weights) -> jax.Array:
    return jnp.zeros_like(weights.recurrent[0])


def _elman_step(
    net: RecurrentNet, weights: Weights, context: jax.Array, sequence_t: SupervisedSequence
) -> tuple[jax.Array, Weights, jax.Array]:
    y_t, value = step(net, weights, context, sequence_t.inputs)
    delta_y, output, direct, outputs = output_gradient(net, weights, y_t, sequence_t)
    delta_net = delta_y * activation_derivatives(net, value)
    gradient = Weights(
        jnp.outer(sequence_t.inputs, delta_net), jnp.outer(context, delta_net), output, direct
    )
    return y_t, gradient, outputs


RTRL = StepGradient(_rtrl_init, _rtrl_step)
ELMAN = StepGradient(_elman_init, _elman_step)
