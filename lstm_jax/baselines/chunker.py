"""The neural sequence chunker: one net sees only what another net failed to predict.

The automatizer A sees every input and predicts the next one. An input is unexpected if A missed it
by more than `threshold` at some output, or if it is the first of a sequence. Only unexpected inputs
reach the chunker C, whose state does not change in between; C predicts the next unexpected input. A
further output of A is trained to equal C's hidden unit, so that A learns to keep over single steps
what C keeps over long times, until A predicts what C could predict. A has the outputs of the task.

    A at step t                   sees x(t); targets x(t+1) and h_C(t)
    C at an unexpected input      sees that input; target: the next unexpected input

Both are the net of the paper's task 2a, of logistic units without biases, with one hidden unit:

    h(t) = f(w_h · x(t) + r h(t-1))        y(t) = f(W x(t) + v h(t))

They learn by real-time recurrent learning, after every step. With one hidden unit, the exact
gradient is carried forward in as many numbers as the unit has weights:

    ∂h(t)/∂w_m = f'(net_h) (x_m(t) + r ∂h(t-1)/∂w_m)       ∂h(t)/∂r likewise, with h(t-1)

With p = 100, A has 10,506 weights, 102 of them for the further output. The source truncates the
gradient after three steps; with one hidden unit the exact one costs no more. The states of both
nets are reset before every sequence, as everywhere in the paper. C need not use its hidden unit,
since it sees the first symbol directly when it predicts the last (claim `reach`).

Reference:
  J. Schmidhuber. Learning complex, extended sequences using the principle of history compression.
  Neural Computation 4(2):234-242, 1992.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cell.activations import logistic
from lstm_jax.cell.parameters import draw_weights
from lstm_jax.cell.validation import as_float, as_integer, convert_fields
from lstm_jax.network.losses import ignore_within_tolerance
from lstm_jax.tasks.task import Example
from lstm_jax.training.update_rules.base import UpdateRule


class NetWeights(NamedTuple):
    """The weights of a net of one self-recurrent hidden unit, I inputs and K outputs."""

    hidden_input: jax.Array  # [I], w_h
    hidden_self: jax.Array  # [], r
    output_input: jax.Array  # [I, K], W
    output_hidden: jax.Array  # [K], v


class NetState(NamedTuple):
    """The state of a net between two steps; all 0 at a sequence's start."""

    hidden: jax.Array  # [], h
    input_trace: jax.Array  # [I], ∂h/∂w_m
    self_trace: jax.Array  # [], ∂h/∂r


class Networks(NamedTuple):
    """The trained model: the weights of A and of C."""

    automatizer: NetWeights
    chunker: NetWeights


class Trajectory(NamedTuple):
    """The activations of both nets along a sequence of T steps."""

    outputs: jax.Array  # [T, K], A's predictions of the next input
    ticks: jax.Array  # [T] bool, whether the input of this step was unexpected and reached C
    chunker_hidden: jax.Array  # [T], h_C
    chunker_outputs: jax.Array  # [T, K], C's latest prediction of the next unexpected input


class _Carry(NamedTuple):
    networks: Networks
    automatizer: NetState
    chunker: NetState
    chunker_symbol: jax.Array  # int32, the last unexpected symbol
    prediction: jax.Array  # [K], C's latest
    is_unexpected: jax.Array  # bool, of the input of this step


@dataclasses.dataclass(frozen=True)
class Chunker(UpdateRule[Networks]):
    """The update rule of the two-net sequence chunker, for tasks 2a and 2b.

    Attributes:
      num_symbols: p + 1, the number of one-hot inputs and targets, at least 2.
      learning_rate: a, of both nets, positive.
      init_range: weights start uniform in [-init_range, init_range].
      threshold: the distance of an output from the input beyond which the input is unexpected.
      tolerance: the distance within which an output counts as equal to its target, in both nets but
        not for A's further output.
    """

    num_symbols: int
    learning_rate: float = 1.0
    init_range: float = 0.2
    threshold: float = 0.2
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        convert_fields(self, functools.partial(as_integer, least=2), "num_symbols")
        positive = ("learning_rate", "init_range", "threshold")
        convert_fields(self, functools.partial(as_float, above=0.0), *positive)
        convert_fields(self, functools.partial(as_float, least=0.0), "tolerance")

    def init(self, key: jax.Array) -> Networks:
        """Draw the initial weights of both nets."""
        automatizer = self._draw(jax.random.fold_in(key, 0), self.num_symbols + 1)
        return Networks(automatizer, self._draw(jax.random.fold_in(key, 1), self.num_symbols))

    def train_step(
        self, model: Networks, example: Example, n: jax.Array
    ) -> tuple[Networks, jax.Array]:
        """Train both nets step by step along a sequence; return also A's predictions [T, K]."""
        del n
        model, trajectory = self.follow(model, example, train=True)
        return model, trajectory.outputs

    def outputs(self, model: Networks, example: Example) -> jax.Array:
        """Return A's predictions [T, K]."""
        return self.follow(model, example, train=False)[1].outputs

    def follow(
        self, model: Networks, example: Example, *, train: bool
    ) -> tuple[Networks, Trajectory]:
        """Run both nets along a sequence and, if `train`, update their weights after every step.

        The targets of the example are the symbols that follow its inputs, one-hot [T, K].
        """
        dtype = model.automatizer.hidden_self.dtype
        rate = jnp.asarray(self.learning_rate if train else 0, dtype)

        def step(carry: _Carry, at: tuple) -> tuple[_Carry, Trajectory]:
            t, symbol, target = at
            return self._step(carry, symbol, target, jnp.where(t < example.length, rate, 0))

        start = _Carry(
            networks=model,
            automatizer=zero_net_state(model.automatizer),
            chunker=zero_net_state(model.chunker),
            chunker_symbol=jnp.zeros((), jnp.int32),
            prediction=jnp.zeros_like(model.chunker.output_hidden),
            is_unexpected=jnp.ones((), bool),
        )
        steps = jnp.arange(example.inputs.shape[0], dtype=jnp.int32)
        at = (steps, example.inputs, example.targets.astype(dtype))
        carry, trajectory = jax.lax.scan(step, start, at)
        return carry.networks, trajectory

    def _draw(self, key: jax.Array, num_outputs: int) -> NetWeights:
        inputs = self.num_symbols
        shapes = ((inputs,), (), (inputs, num_outputs), (num_outputs,))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(shapes)))
        return NetWeights(*draw_weights(keys, shapes, self.init_range, jnp.float32))

    def _errors(self, predictions: jax.Array, target: jax.Array) -> jax.Array:
        return ignore_within_tolerance(predictions, target, self.tolerance or None) - target

    def _step(
        self, carry: _Carry, symbol: jax.Array, target: jax.Array, rate: jax.Array
    ) -> tuple[_Carry, Trajectory]:
        """Run one step of A and, if its input was unexpected, of C."""
        networks, ticks = carry.networks, carry.is_unexpected
        chunker, prediction, chunker_symbol = jax.tree.map(
            lambda new, old: jnp.where(ticks, new, old),
            (*run_net(networks.chunker, carry.chunker, symbol), symbol),
            (carry.chunker, carry.prediction, carry.chunker_symbol),
        )
        automatizer, outputs = run_net(networks.automatizer, carry.automatizer, symbol)
        is_unexpected = jnp.any(jnp.abs(outputs[:-1] - target) > self.threshold)
        errors = jnp.append(self._errors(outputs[:-1], target), outputs[-1] - chunker.hidden)

        learned = learn(networks.automatizer, automatizer, symbol, outputs, errors, rate)
        errors, rate = self._errors(prediction, target), jnp.where(is_unexpected, rate, 0)
        by_chunker = learn(networks.chunker, chunker, chunker_symbol, prediction, errors, rate)
        networks = Networks(learned, by_chunker)
        trajectory = Trajectory(outputs[:-1], ticks, chunker.hidden, prediction)
        carry = _Carry(networks, automatizer, chunker, chunker_symbol, prediction, is_unexpected)
        return carry, trajectory


def zero_net_state(weights: NetWeights) -> NetState:
    """Return the state of a net before its first step."""
    zeros = jax.tree.map(jnp.zeros_like, weights)
    return NetState(zeros.hidden_self, zeros.hidden_input, zeros.hidden_self)


def run_net(
    weights: NetWeights, state_tm1: NetState, symbol: jax.Array
) -> tuple[NetState, jax.Array]:
    """Run one step of a net on a symbol; return its state and its outputs [K]."""
    net_hidden = weights.hidden_input[symbol] + weights.hidden_self * state_tm1.hidden
    hidden = logistic(net_hidden)
    derivative = logistic.derivative(hidden)
    input_trace = (state_tm1.input_trace * weights.hidden_self).at[symbol].add(1)
    self_trace = state_tm1.hidden + weights.hidden_self * state_tm1.self_trace
    state = NetState(hidden, derivative * input_trace, derivative * self_trace)
    return state, logistic(weights.output_input[symbol] + weights.output_hidden * hidden)


def learn(
    weights: NetWeights,
    state: NetState,
    symbol: jax.Array,
    outputs: jax.Array,
    errors: jax.Array,
    rate: jax.Array,
) -> NetWeights:
    """Return the weights after a step of learning at this step's state, symbol and outputs [K].

    `errors` [K] are outputs minus targets; a rate of 0 leaves the weights unchanged.
    """
    delta = logistic.derivative(outputs) * errors
    delta_hidden = jnp.sum(weights.output_hidden * delta)
    return NetWeights(
        hidden_input=weights.hidden_input - rate * delta_hidden * state.input_trace,
        hidden_self=weights.hidden_self - rate * delta_hidden * state.self_trace,
        output_input=weights.output_input.at[symbol].add(-rate * delta),
        output_hidden=weights.output_hidden - rate * state.hidden * delta,
    )
