"""The neural sequence chunker, two nets: what one cannot predict is all that the other sees.

J. Schmidhuber. Learning complex, extended sequences using the principle of history compression.
*Neural Computation* 4(2):234-242, 1992.

The automatizer A sees every input and predicts the next one. An input that it failed to predict, by
more than `threshold` at some output, is unexpected, and so is the first of every sequence. Only
unexpected inputs go to the chunker C, whose clock stands still in between: it predicts the next
unexpected input, however far that is. A further output of A is trained to equal C's hidden unit:
what C keeps over a long time, A must then keep from step to step, until A predicts by itself what C
could predict, and C is not needed any more. It is A that is judged.

    A at step t      sees x(t); targets x(t+1) and h_C(t)
    C at a tick      sees the unexpected input; target: the next unexpected input

Both are the net of the paper's task 2a: one hidden unit that sees the inputs and itself, and
outputs that see the inputs and the hidden unit; logistic units, no bias:

    h(t) = f(w_h · x(t) + r h(t-1))        y(t) = f(W x(t) + v h(t))

They learn by real-time recurrent learning, after every step. With one hidden unit its exact
gradient is carried forward in as many numbers as the unit has weights:

    ∂h(t)/∂w_m = f'(net_h) (x_m(t) + r ∂h(t-1)/∂w_m)       ∂h(t)/∂r likewise, with h(t-1)

With p = 100, A has 10,506 weights, 102 of them for the further output.

Readings. The source's own experiment cuts error off after three steps into the past; with one
hidden unit the exact gradient costs no more. The states of both nets are reset before every
sequence, as everywhere in the paper. C has no weights for the time of an input there; `time_input`
adds that time, as t / T, to what C sees. It is needed where the number of predictable inputs in
between matters.

What is passed on to A is C's hidden unit, which C need not use: it sees the first symbol directly
when it predicts the last. In a net with many outputs, the hidden unit first serves as their missing
bias, saturates, and is then the same after x as after y, so that A has nothing to keep. That is the
rule with the paper's initial weights. With a `tolerance` it does not saturate, C's unit comes to
tell x from y, and A keeps it for longer and longer, if not to the end (claim `reach` of
`experiments.claims`); with few outputs and larger initial weights, A learns all from C.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lstm_jax.cell.activations import logistic
from lstm_jax.cell.parameters import draw_weights
from lstm_jax.cell.validation import check_tolerance
from lstm_jax.network.losses import ignore_within_tolerance
from lstm_jax.tasks import draws, noise_free
from lstm_jax.tasks.task import Example, Published, Task
from lstm_jax.training.update_rules.base import UpdateRule


class NetWeights(NamedTuple):
    """A net of one self-recurrent hidden unit, I inputs and K outputs."""

    hidden_input: jax.Array
    """[I]."""
    hidden_self: jax.Array
    """[]."""
    output_input: jax.Array
    """[I, K]."""
    output_hidden: jax.Array
    """[K]."""


class NetState(NamedTuple):
    """What a net hands from one of its steps to the next; all 0 at a sequence's start."""

    hidden: jax.Array
    """[], h."""
    input_trace: jax.Array
    """[I], ∂h/∂w_m."""
    self_trace: jax.Array
    """[], ∂h/∂r."""


class Sight(NamedTuple):
    """What a net sees at one step: a one-hot symbol and, for C with `time_input`, the time.

    The time is the input after the symbols; its weight is the last of the inputs'.
    """

    symbol: jax.Array
    """int32."""
    time: jax.Array | None
    """[]."""


class Pair(NamedTuple):
    """One trial: both nets' weights."""

    automatizer: NetWeights
    """A's."""
    chunker: NetWeights
    """C's."""


class Trajectory(NamedTuple):
    """What happened in a sequence of T steps."""

    outputs: jax.Array
    """[T, K], A's predictions of the next input."""
    ticks: jax.Array
    """[T] bool, whether the input at this step was unexpected and went to C."""
    chunker_hidden: jax.Array
    """[T], h_C."""
    matched: jax.Array
    """[T], A's further output, which shall equal it."""
    chunker_outputs: jax.Array
    """[T, K], C's standing prediction of the next unexpected input."""


class _Carry(NamedTuple):
    pair: Pair
    automatizer: NetState
    chunker: NetState
    sight: Sight
    """What C saw last."""
    prediction: jax.Array
    """[K], what it then predicted."""
    is_unexpected: jax.Array
    """Bool, of the input at this step."""


@dataclasses.dataclass(frozen=True)
class Chunker(UpdateRule[Pair]):
    """The two-net sequence chunker, for one trial.

    Attributes:
      num_symbols: p + 1, of one-hot inputs and targets.
      learning_rate: a, of both nets.
      init_range: weights start uniform in [-init_range, init_range].
      threshold: an input is unexpected if an output was further than this from it.
      tolerance: an output as near to the symbol it predicts has no error, in both nets; 0.0: every
        one has. What A is to know of C always has.
      time_input: whether C sees the time of its inputs.

    Raises:
      ValueError: if a field is outside its range.
    """

    num_symbols: int
    learning_rate: float = 1.0
    init_range: float = 0.2
    threshold: float = 0.2
    tolerance: float = 0.0
    time_input: bool = False

    def __post_init__(self) -> None:
        if self.num_symbols < 2:
            raise ValueError(f"num_symbols must be at least 2, got {self.num_symbols!r}")
        for name in ("learning_rate", "init_range", "threshold"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        check_tolerance(self.tolerance)

    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Pair:
        """Both nets' weights before the first sequence."""
        symbols = self.num_symbols
        sizes = ((symbols, symbols + 1), (symbols + self.time_input, symbols))
        return Pair(
            *(self._draw(jax.random.fold_in(key, i), *size, dtype) for i, size in enumerate(sizes))
        )

    def train_step(self, model: Pair, example: Example, n: jax.Array) -> tuple[Pair, jax.Array]:
        """Presents a training sequence; both nets learn after every step.

        Args:
          model: the trial.
          example: symbols [T], and as targets the symbols that follow them, one-hot [T, K].
          n: not used.

        Returns:
          The trial, and A's predictions [T, K], each made before it was learned from.
        """
        del n
        model, course = self.follow(model, example, train=True)
        return model, course.outputs

    def outputs(self, model: Pair, example: Example) -> jax.Array:
        """A's predictions [T, K] with its weights as they are."""
        return self.follow(model, example, train=False)[1].outputs

    def follow(self, model: Pair, example: Example, *, train: bool) -> tuple[Pair, Trajectory]:
        """Goes through a sequence and tells all.

        Args:
          model: the trial.
          example: as in `train_step`.
          learning: whether the nets learn after every step.

        Returns:
          The trial, and the `Trajectory`.
        """
        dtype = model.automatizer.hidden_self.dtype
        num_steps = example.inputs.shape[0]
        steps = jnp.arange(num_steps, dtype=jnp.int32)
        rate = jnp.asarray(self.learning_rate if train else 0, dtype)

        def step(carry: _Carry, at: tuple) -> tuple[_Carry, Trajectory]:
            t, symbol, target = at
            is_real = t < example.length
            time = t.astype(dtype) / num_steps if self.time_input else None
            return self._step(carry, Sight(symbol, time), target, jnp.where(is_real, rate, 0))

        carry = self._start(model)
        at = (steps, example.inputs, example.targets.astype(dtype))
        carry, course = jax.lax.scan(step, carry, at)
        return carry.pair, course

    def _draw(self, key: jax.Array, inputs: int, outputs: int, dtype: DTypeLike) -> NetWeights:
        shapes = ((inputs,), (), (inputs, outputs), (outputs,))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(shapes)))
        return NetWeights(*draw_weights(keys, shapes, self.init_range, dtype))

    def _errors(self, predictions: jax.Array, target: jax.Array) -> jax.Array:
        """[K], 0 within the tolerance."""
        return ignore_within_tolerance(predictions, target, self.tolerance or None) - target

    def _start(self, model: Pair) -> _Carry:
        dtype = model.chunker.hidden_self.dtype
        zero = jnp.zeros((), dtype)
        return _Carry(
            pair=model,
            automatizer=zero_net_state(model.automatizer),
            chunker=zero_net_state(model.chunker),
            sight=Sight(jnp.zeros((), jnp.int32), zero if self.time_input else None),
            prediction=jnp.zeros_like(model.chunker.output_hidden),
            is_unexpected=jnp.ones((), bool),
        )

    def _step(
        self, carry: _Carry, sight: Sight, target: jax.Array, rate: jax.Array
    ) -> tuple[_Carry, Trajectory]:
        """One step of A and, if its input was unexpected, of C."""
        pair, ticks = carry.pair, carry.is_unexpected
        chunker, prediction, chunker_sight = jax.tree.map(
            lambda new, old: jnp.where(ticks, new, old),
            (*run_net(pair.chunker, carry.chunker, sight), sight),
            (carry.chunker, carry.prediction, carry.sight),
        )
        seen = Sight(sight.symbol, None)
        automatizer, outputs = run_net(pair.automatizer, carry.automatizer, seen)
        is_unexpected = jnp.any(jnp.abs(outputs[:-1] - target) > self.threshold)
        errors = jnp.append(self._errors(outputs[:-1], target), outputs[-1] - chunker.hidden)

        pair = Pair(
            learn(pair.automatizer, automatizer, seen, outputs, errors, rate),
            learn(
                pair.chunker,
                chunker,
                chunker_sight,
                prediction,
                self._errors(prediction, target),
                jnp.where(is_unexpected, rate, 0),
            ),
        )
        course = Trajectory(outputs[:-1], ticks, chunker.hidden, outputs[-1], prediction)
        return _Carry(pair, automatizer, chunker, chunker_sight, prediction, is_unexpected), course


def zero_net_state(weights: NetWeights) -> NetState:
    """The state of a net before its first step."""
    zeros = jax.tree.map(jnp.zeros_like, weights)
    return NetState(zeros.hidden_self, zeros.hidden_input, zeros.hidden_self)


def run_net(weights: NetWeights, state_tm1: NetState, sight: Sight) -> tuple[NetState, jax.Array]:
    """One step of a net: its state, with its hidden unit's exact traces, and its outputs [K]."""
    net_hidden = weights.hidden_input[sight.symbol] + weights.hidden_self * state_tm1.hidden
    net = weights.output_input[sight.symbol]
    seen = state_tm1.input_trace * weights.hidden_self
    seen = seen.at[sight.symbol].add(1)
    if sight.time is not None:
        net_hidden = net_hidden + weights.hidden_input[-1] * sight.time
        net = net + weights.output_input[-1] * sight.time
        seen = seen.at[-1].add(sight.time)
    hidden = logistic(net_hidden)
    slope = logistic.derivative(hidden)
    state = NetState(
        hidden=hidden,
        input_trace=slope * seen,
        self_trace=slope * (state_tm1.hidden + weights.hidden_self * state_tm1.self_trace),
    )
    return state, logistic(net + weights.output_hidden * hidden)


def learn(
    weights: NetWeights,
    state: NetState,
    sight: Sight,
    outputs: jax.Array,
    errors: jax.Array,
    rate: jax.Array,
) -> NetWeights:
    """A step of real-time recurrent learning down half the squared error of one step.

    Args:
      weights: which gave the outputs.
      state: of the same step.
      sight: of the same step.
      outputs: [K].
      errors: [K], outputs less targets.
      rate: a; 0 leaves the weights alone.
    """
    delta = logistic.derivative(outputs) * errors
    delta_hidden = jnp.sum(weights.output_hidden * delta)
    output_input = weights.output_input.at[sight.symbol].add(-rate * delta)
    if sight.time is not None:
        output_input = output_input.at[-1].add(-rate * sight.time * delta)
    return NetWeights(
        hidden_input=weights.hidden_input - rate * delta_hidden * state.input_trace,
        hidden_self=weights.hidden_self - rate * delta_hidden * state.self_trace,
        output_input=output_input,
        output_hidden=weights.output_hidden - rate * state.hidden * delta,
    )


def noisy_task(noise: float, delay: int = 100) -> Task:
    """Task 2a with its middle symbols made random, each with probability `noise`.

    At 0 the sequences are those of 2a, at 1 those of 2b. For all noise levels it is the last step
    that is judged, as in 2b: a random symbol cannot be predicted.

    >>> noisy_task(0.25, delay=10).name
    '2-noise-0.25-10'

    Args:
      noise: in [0, 1].
      delay: p.

    Raises:
      ValueError: if an argument is outside its range.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must be in [0, 1], got {noise!r}")
    task = noise_free.make("2b", delay)

    def sample(key: jax.Array, data: None = None) -> Example:
        del data
        return sample_noisy(key, delay, noise)

    return dataclasses.replace(
        task,
        name=f"2-noise-{noise:g}-{delay}",
        title=f"noise-free to random middle, noise {noise:g}, delay {delay}",
        sample=sample,
        published=Published(table="none"),
    )


def sample_noisy(key: jax.Array, delay: int, noise: jax.Array | float) -> Example:
    """Draws a sequence each of whose middle symbols is a random one with probability `noise`.

    A random symbol is uniform among all middle symbols, so that it may be the one it replaces.
    """
    num_middle = delay - 1
    words = draws.words(key, 1 + 2 * num_middle)
    edge = num_middle + draws.integers(words[:1], 0, 1)
    is_random = draws.uniform(words[1 : 1 + num_middle], 0.0, 1.0) < noise
    random = draws.integers(words[1 + num_middle :], 0, num_middle - 1)
    middle = jnp.where(is_random, random, jnp.arange(num_middle, dtype=jnp.int32))
    symbols = jnp.concatenate([edge, middle, edge])
    targets = jax.nn.one_hot(symbols[1:], delay + 1, dtype=jnp.float32)
    return Example(symbols[:-1], targets, targets, jnp.int32(delay))
