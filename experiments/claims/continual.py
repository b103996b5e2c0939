"""The continual embedded Reber grammar, learned online with and without forget gates.

The stream consists of strings of task 1, one after the other, without end. Neither their
boundaries are marked nor is the network reset there. A prediction is right if every legal next
symbol's output is above every illegal one's, as in task 1; after a string's last E the legal symbol
is the B of the next string.

The network is that of Gers, Schmidhuber & Cummins (2000) as far as known: 4 blocks of 2 cells,
gates and outputs with biases, cells without, 424 weights in [-0.2, 0.2], input and output gate
biases -0.5, -1, -1.5, -2, forget gate biases 0.5, 1, 1.5, 2, and an update after every step.

A training stream ends with the first wrong prediction, or after a number of right ones. The next
one begins with a new string, with the state and the traces of before any string, and with the
current weights. `lstm_jax.network.online` computes the gradient (eqs. 25-28; the traces decay with
the states).

After training, weights are frozen and tested on ten streams of 100,000 symbols. As published, a
network is perfect if all ten are without an error, and good if the first error comes after more
than 1,000 symbols on average.

Reference:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget: continual prediction with LSTM.
  Neural Computation 12(10):2451-2471, 2000.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions, band, draw_band
from lstm_jax import (
    LOSSES,
    Architecture,
    Hyperparameters,
    Parameters,
    State,
    Steps,
    apply,
    online,
    unroll,
    zero_state,
)
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.reber import INNER_GRAMMAR, SYMBOLS, predicts_legal_symbols
from lstm_jax.training.update_rules.per_sequence import draw_weights

GATE_BIASES = (0.5, 1.0, 1.5, 2.0)
LEARNING_RATE = 0.1  # 0.5 in the publication, whose loss is the squared error
CHUNK = 10_000  # symbols per compiled call
FALLING = 0.98  # by which a falling rate is multiplied after every chunk
MAX_SYMBOLS = 1_000_000  # of a trial
SHORT_STREAM = 20_000  # right predictions after which a stream may end
STREAMS, LENGTH, GOOD = 10, 100_000, 1_000  # of the tests
LIMITS = {"symbols": MAX_SYMBOLS, "streams": STREAMS, "length": LENGTH, "good": GOOD}
TESTED = ("perfect", "good")
# Percent of perfect and of good networks (Gers et al. 2000, Table 2); "reset" learns with resets.
PUBLISHED = {
    "1997": (0, None),
    "1997, reset before each string": (74, None),
    "forget gates, as printed": (18, 29),
    "forget gates, h linear, falling rate": (62, 6),
}
DISPLAYED, INTERVAL = 2_000, 10  # symbols over which the states are drawn, every tenth


def _automaton() -> tuple[np.ndarray, np.ndarray]:
    """Return both arcs out of every node, [nodes, 2] each: their symbols and next nodes.

    A node with one arc has it twice. Node 0 is before a string, 1 after its B. Each branch then has
    its inner nodes, the node before its second T or P, and the node before the last E.
    """
    inner = len(INNER_GRAMMAR)
    size = inner + 2
    arcs: list[list[tuple[str, int]]] = [[("B", 1)], [("T", 2), ("P", 2 + size)]]
    for branch, first in (("T", 2), ("P", 2 + size)):
        for node in INNER_GRAMMAR:
            arcs.append([(s, first + (inner if to is None else to)) for s, to in node])
        arcs += [[(branch, first + inner + 1)], [("E", 0)]]
    both = [node * 2 if len(node) == 1 else node for node in arcs]
    symbols = [[SYMBOLS.index(symbol) for symbol, _ in node] for node in both]
    nodes = [[to for _, to in node] for node in both]
    return np.array(symbols, np.int32), np.array(nodes, np.int32)


_NEXT_SYMBOL, _NEXT_NODE = _automaton()
START = 0  # the node before a string


def follow(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take one of a node's arcs and return the next node and the arc's symbol, int32.

    >>> node, string = jnp.int32(START), ""
    >>> for bit in (0, 1, 0, 0, 1, 1, 0, 0, 0, 0):
    ...     node, symbol = follow(node, bit)
    ...     string += SYMBOLS[symbol]
    >>> string
    'BPBTXSEPEB'
    """
    return jnp.asarray(_NEXT_NODE)[node, bit], jnp.asarray(_NEXT_SYMBOL)[node, bit]


def is_right(outputs: jax.Array, node: jax.Array) -> jax.Array:
    """Return whether every legal symbol's output, of [7], is above every illegal one's."""
    is_legal = (jax.nn.one_hot(jnp.asarray(_NEXT_SYMBOL)[node], len(SYMBOLS)) > 0).any(0)
    return predicts_legal_symbols(outputs, is_legal)


class StreamState(NamedTuple):
    """State of one trial; all numbers are int32."""

    learner: online.Learner
    symbol: jax.Array  # the next input
    node: jax.Array  # the grammar's node after it
    streams: jax.Array  # that have ended
    right: jax.Array  # predictions of the current stream
    longest: jax.Array  # the most right predictions of any stream


@dataclasses.dataclass(frozen=True)
class StreamTraining:
    """Online training of one trial; `jax.vmap` lifts it to many.

    Attributes:
      architecture: the network.
      hyperparameters: its initial weights, the loss and the learning rate.
      falling: whether the rate falls.
      most: right predictions after which a stream ends; None: it has no such end.
      reset: whether state and traces are reset before every string.
    """

    architecture: Architecture
    hyperparameters: Hyperparameters
    falling: bool = False
    most: int | None = None
    reset: bool = False

    @functools.cached_property
    def optimiser(self) -> optax.GradientTransformation:
        """Gradient descent, at a rate that may fall."""
        rate = self.hyperparameters.learning_rate
        if not self.falling:
            return optax.sgd(rate)
        return optax.sgd(optax.exponential_decay(rate, CHUNK, FALLING, staircase=True))

    def init(self, key: jax.Array) -> StreamState:
        """Return the state before the first string."""
        parameters = draw_weights(key, self.architecture, self.hyperparameters)
        learner = online.init_learner(self.architecture, parameters, self.optimiser)
        node, symbol = follow(jnp.int32(START), jnp.int32(0))
        return StreamState(learner, symbol, node, *(jnp.int32(0),) * 3)

    def learn(self, state: StreamState, bits: jax.Array) -> StreamState:
        """Learn one symbol for each random bit, [T] int32."""
        return jax.lax.scan(lambda state, bit: (self._step(state, bit), None), state, bits)[0]

    def _step(self, state: StreamState, bit: jax.Array) -> StreamState:
        net, loss = self.architecture, self.hyperparameters.loss
        node, symbol = follow(state.node, bit)
        target = jax.nn.one_hot(symbol, net.num_outputs)
        outputs, learner = online.learn(net, state.learner, state.symbol, target, loss=loss)
        learner = online.update(self.optimiser, learner)
        first_node, first_symbol = follow(jnp.int32(START), bit)
        right = jnp.where(is_right(outputs, state.node), state.right + 1, 0)
        ends = right == 0 if self.most is None else (right == 0) | (right == self.most)
        starts = ends | (state.node == START) if self.reset else ends
        fresh = online.start_sequence(net, learner)
        return StreamState(
            learner=optax.tree_utils.tree_where(starts, fresh, learner),
            symbol=jnp.where(ends, first_symbol, symbol),
            node=jnp.where(ends, first_node, node),
            streams=state.streams + ends.astype(jnp.int32),
            right=jnp.where(ends, 0, right),
            longest=jnp.maximum(state.longest, right),
        )


def make_training(
    *,
    forget_gates: bool = True,
    cell_output: str = "centred_1",
    as_printed: bool = False,
    falling: bool = False,
    most: int | None = None,
    reset: bool = False,
) -> StreamTraining:
    """Return the training of the publication's network, or of the same without forget gates.

    >>> make_training().architecture.num_weights
    424
    """
    architecture = Architecture(
        len(SYMBOLS),
        (2,) * len(GATE_BIASES),
        len(SYMBOLS),
        recurrent="cells",
        cell_output=cell_output,
        input_to_output=True,
        biases=("input_gate", "forget_gate", "output_gate", "output"),
        forget_gates=forget_gates,
    )
    negative = tuple(-bias for bias in GATE_BIASES)
    hyperparameters = Hyperparameters(
        learning_rate=0.5 if as_printed else LEARNING_RATE,
        init_range=0.2,
        input_gate_bias=negative,
        output_gate_bias=negative,
        forget_gate_bias=GATE_BIASES if forget_gates else None,
        loss=LOSSES["squared" if as_printed else "cross_entropy"],
    )
    return StreamTraining(architecture, hyperparameters, falling, most, reset)


def variants() -> dict[str, StreamTraining]:
    """Learn streams without resets, with and without forget gates, and test them (2000)."""
    linear = functools.partial(make_training, cell_output="identity")
    return {
        "1997": make_training(forget_gates=False),
        "1997, falling rate": make_training(forget_gates=False, falling=True),
        "1997, reset before each string": make_training(forget_gates=False, reset=True),
        "forget gates, as printed": make_training(as_printed=True),
        "forget gates": make_training(),
        "forget gates, h linear": linear(),
        "forget gates, h linear, falling rate": linear(falling=True),
        "forget gates, h linear, falling rate, streams end": linear(
            falling=True, most=SHORT_STREAM
        ),
    }


def train(training: StreamTraining, options: ClaimOptions) -> Document:
    """Train all trials on `MAX_SYMBOLS` symbols, and test them.

    Returns:
      For each trial `streams`, those that have ended in training, `longest`, the most right
      predictions of one, `symbols`, the mean number of right predictions of the test streams, and
      `whole`, the number of test streams without an error; the counts `perfect` and `good`; and
      `states`, the `band` of the largest |s_c| over a stream without resets.
    """
    state = init(training, options)
    learn = jax.jit(jax.vmap(training.learn))
    for chunk in range(MAX_SYMBOLS // CHUNK):
        state = learn(state, draw_bits(options, chunk, CHUNK))
    right = test(training, state.learner.parameters, options)
    symbols, whole = right.mean(1), (right == LENGTH).sum(1)
    is_perfect = whole == STREAMS
    return {
        "perfect": int(is_perfect.sum()),
        "good": int((~is_perfect & (symbols > GOOD)).sum()),
        "streams": state.streams.tolist(),
        "longest": state.longest.tolist(),
        "symbols": np.round(symbols, 1).tolist(),
        "whole": whole.tolist(),
        "states": _largest_states(training, state, options),
    }


def init(training: StreamTraining, options: ClaimOptions) -> StreamState:
    """Return the state of all trials before the first symbol."""
    key = jax.random.key(options.seed)
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(options.trials))
    return jax.jit(jax.vmap(training.init))(keys)


def draw_bits(options: ClaimOptions, chunk: int, count: int) -> np.ndarray:
    """Draw the grammar's choices, one per trial and symbol, [R, T]."""
    rngs = [np.random.default_rng([options.seed, r, chunk]) for r in range(options.trials)]
    return np.stack([rng.integers(0, 2, count, np.int32) for rng in rngs])


class TestState(NamedTuple):
    """State of one network on one test stream."""

    state: State
    node: jax.Array
    right: jax.Array  # int32, predictions before the first wrong one
    is_running: jax.Array  # bool, whether there was none


def test(training: StreamTraining, parameters: Parameters, options: ClaimOptions) -> np.ndarray:
    """Return the symbols before the first wrong prediction of each test stream, [R, streams].

    All trials see the same streams, which are none of training. Who learned with resets is tested
    with resets.
    """
    net = training.architecture
    start = TestState(zero_state(net), jnp.int32(START), jnp.int32(0), jnp.bool_(True))
    batch = (options.trials, STREAMS)
    at = jax.tree.map(lambda x: jnp.broadcast_to(x, (*batch, *x.shape)), start)
    over_streams = jax.vmap(functools.partial(_test_chunk, training), in_axes=(None, 0, 0))
    test_chunk = jax.jit(jax.vmap(over_streams, in_axes=(0, 0, None)))
    rng = np.random.default_rng([options.seed, options.trials, MAX_SYMBOLS])
    for _ in range(LENGTH // CHUNK):
        at = test_chunk(parameters, at, rng.integers(0, 2, (STREAMS, CHUNK), np.int32))
        if not at.is_running.any():
            break
    return np.asarray(at.right)


def _test_chunk(
    training: StreamTraining, parameters: Parameters, at: TestState, bits: jax.Array
) -> TestState:
    """Continue a test stream with a symbol for each of the bits, [T]."""

    def walk(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        after, symbol = follow(node, bit)
        return after, (symbol, after, node == START)

    node, (symbols, nodes, starts) = jax.lax.scan(walk, at.node, bits)
    steps = Steps(reset=starts if training.reset else None)
    outputs, state = apply(
        training.architecture, parameters, symbols, steps=steps, initial_state=at.state
    )
    is_correct = jnp.cumprod(jax.vmap(is_right)(outputs, nodes)).astype(jnp.int32)
    right = at.right + jnp.where(at.is_running, is_correct.sum(), 0)
    return TestState(state, node, right, at.is_running & (is_correct[-1] == 1))


def _largest_states(
    training: StreamTraining, state: StreamState, options: ClaimOptions
) -> list[list[float]]:
    """Return the band of the largest |s_c| at every tenth symbol, from the first, [T / 10, 3]."""

    def run_one(parameters: Parameters, bits: jax.Array) -> jax.Array:
        _, symbols = jax.lax.scan(follow, jnp.int32(START), bits)
        activations, _ = unroll(training.architecture, parameters, symbols)
        return jnp.abs(activations.internal_state).max(1)

    bits = draw_bits(options, MAX_SYMBOLS // CHUNK, DISPLAYED)
    states = jax.jit(jax.vmap(run_one))(state.learner.parameters, bits)
    return band(np.asarray(states).T[::INTERVAL], 3)


def draw(document: Document) -> style.Figure:
    """Draw the shares of perfect and good networks, and the states over a stream without resets."""
    found, trials = document["variants"], document["trials"]
    figure, (left, right) = style.new_figure(12, 4.5, columns=2, width_ratios=(3, 2))
    rows, labels = np.arange(len(found)), [*found]
    perfect, good = (np.array([of[k] for of in found.values()]) / trials for k in TESTED)
    left.barh(rows, perfect, color=style.OURS, label="perfect")
    left.barh(rows, good, left=perfect, color=style.SKY, label="good")
    for row, label in enumerate(labels):
        if label in PUBLISHED:
            left.plot(
                PUBLISHED[label][0] / 100, row, "D", color=style.PAPER, label="perfect, published"
            )
    left.set_yticks(rows, labels)
    left.set(ylim=(len(found) - 0.5, -0.5), xlim=(0, 1), xlabel="share of networks")
    for i, label in enumerate(("1997", "forget gates")):
        states = np.maximum(np.asarray(found[label]["states"], float), 0.1)
        line = {"color": style.LINES[i]}
        draw_band(right, range(1, INTERVAL * len(states), INTERVAL), states, label, line)
    right.set(yscale="log", xlabel="symbols since the last reset", ylabel="largest |s_c|")
    handles, names = left.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    style.add_legend(left, [*unique.values()], [*unique])
    style.add_legend(right)
    return figure
