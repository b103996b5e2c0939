"""The continual embedded Reber grammar, learned online with and without forget gates.

The stream consists of strings of task 1, one after the other, without end. Neither their
boundaries are marked nor is the network reset there. A prediction is right if every legal next
symbol's output is above every illegal one's, as in task 1; after a string's last E the legal symbol
is the B of the next string.

The network is that of Gers, Schmidhuber & Cummins (2000) as far as known: 4 blocks of 2 cells,
gates and outputs with biases, cells without, 424 weights in [-0.2, 0.2], input and output gate
biases -0.5, -1, -1.5, -2, forget gate biases 0.5, 1, 1.5, 2, and an update after every step. The
learning rate is a fifth of theirs, the loss is cross entropy.

A training stream ends with the first wrong prediction. The next one begins with a new string, with
the state and the traces of before any string, and with the current weights.
`lstm_jax.network.online` computes the gradient (eqs. 25-28; the traces decay with the states).

Reference:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget: continual prediction with LSTM.
  Neural Computation 12(10):2451-2471, 2000.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions, band, draw_band
from lstm_jax import LOSSES, Architecture, Hyperparameters, Parameters, online, unroll
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.reber import INNER_GRAMMAR, SYMBOLS, predicts_legal_symbols
from lstm_jax.training.update_rules.per_sequence import draw_weights

GATE_BIASES = (0.5, 1.0, 1.5, 2.0)
LEARNING_RATE = 0.5 / 5
OPTIMISER = optax.sgd(LEARNING_RATE)
CHUNK = 10_000  # symbols per compiled call
GOAL = 100_000  # right predictions of one training stream that solve a trial
MAX_SYMBOLS = 1_000_000  # of a trial
MAX_STREAMS = 30_000  # of a trial, as in the publication
LIMITS = {"goal": GOAL, "symbols": MAX_SYMBOLS, "streams": MAX_STREAMS}
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
    """Online training of one trial; `jax.vmap` lifts it to many."""

    architecture: Architecture
    hyperparameters: Hyperparameters
    reset: bool = False  # state and traces before every string

    def init(self, key: jax.Array) -> StreamState:
        """Return the state before the first string."""
        parameters = draw_weights(key, self.architecture, self.hyperparameters)
        learner = online.init_learner(self.architecture, parameters, OPTIMISER)
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
        learner = online.update(OPTIMISER, learner)
        is_wrong = ~is_right(outputs, state.node)
        first_node, first_symbol = follow(jnp.int32(START), bit)
        starts = is_wrong | (state.node == START) if self.reset else is_wrong
        fresh = online.start_sequence(net, learner)
        right = state.right + 1
        return StreamState(
            learner=optax.tree_utils.tree_where(starts, fresh, learner),
            symbol=jnp.where(is_wrong, first_symbol, symbol),
            node=jnp.where(is_wrong, first_node, node),
            streams=state.streams + is_wrong.astype(jnp.int32),
            right=jnp.where(is_wrong, 0, right),
            longest=jnp.where(is_wrong, state.longest, jnp.maximum(state.longest, right)),
        )


def make_training(*, forget_gates: bool = True, reset: bool = False) -> StreamTraining:
    """Return the training of the publication's network, or of the same without forget gates.

    >>> make_training().architecture.num_weights
    424
    """
    architecture = Architecture(
        len(SYMBOLS),
        (2,) * len(GATE_BIASES),
        len(SYMBOLS),
        recurrent="cells",
        input_to_output=True,
        biases=("input_gate", "forget_gate", "output_gate", "output"),
        forget_gates=forget_gates,
    )
    negative = tuple(-bias for bias in GATE_BIASES)
    hyperparameters = Hyperparameters(
        learning_rate=LEARNING_RATE,
        init_range=0.2,
        input_gate_bias=negative,
        output_gate_bias=negative,
        forget_gate_bias=GATE_BIASES if forget_gates else None,
        loss=LOSSES["cross_entropy"],
    )
    return StreamTraining(architecture, hyperparameters, reset)


def variants() -> dict[str, StreamTraining]:
    """Learn streams without resets, with and without forget gates (2000)."""
    return {
        "forget gates": make_training(),
        "1997": make_training(forget_gates=False),
        "1997, reset before each string": make_training(forget_gates=False, reset=True),
    }


def train(training: StreamTraining, options: ClaimOptions) -> Document:
    """Train until all trials are solved or have reached a limit.

    Returns:
      `solved`, the number of solved trials; for each trial `streams`, those ended before it was
      solved, and `longest`; after each chunk `symbols` and the `band` of the longest streams,
      `longest_by`; and `states`, the `band` of the largest |s_c| over a stream without resets.
    """
    state, history = init(training, options), []
    streams = np.zeros(options.trials, int)
    learn = jax.jit(jax.vmap(training.learn))
    is_solved = np.zeros(options.trials, bool)
    for chunk in range(MAX_SYMBOLS // CHUNK):
        state = learn(state, draw_bits(options, chunk, CHUNK))
        streams = np.where(is_solved, streams, state.streams)
        is_solved |= np.asarray(state.longest) >= GOAL
        history.append(np.asarray(state.longest))
        if np.all(is_solved | (streams >= MAX_STREAMS)):
            break
    return {
        "solved": int(is_solved.sum()),
        "streams": streams.tolist(),
        "longest": history[-1].tolist(),
        "symbols": [CHUNK * (n + 1) for n in range(len(history))],
        "longest_by": band(history, 1),
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
    """Draw the longest streams during training, and the states over a stream without resets."""
    figure, (left, right) = style.new_figure(11, 4.5, columns=2)
    for i, (name, found) in enumerate(document["variants"].items()):
        label = f"{name}: {found['solved']} of {document['trials']} solved"
        line = {"color": style.LINES[i]}
        longest = np.maximum(np.asarray(found["longest_by"], float), 0.1)
        draw_band(left, found["symbols"], longest, label, line)
        states = np.maximum(np.asarray(found["states"], float), 0.1)
        draw_band(right, range(1, INTERVAL * len(states), INTERVAL), states, label, line)
    left.axhline(document["limits"]["goal"], color=style.BLACK, linestyle=":")
    left.set(yscale="log", xlabel="symbols learned from", ylabel="longest stream without an error")
    right.set(yscale="log", xlabel="symbols since the last reset", ylabel="largest |s_c|")
    for axes in (left, right):
        style.format_counts(axes)
    style.add_legend(figure, *left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
