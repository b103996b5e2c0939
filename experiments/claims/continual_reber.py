"""The continual embedded Reber grammar, and a network that learns from it online.

The stream consists of strings of task 1, one after the other, without end. Neither their
boundaries are marked nor is the network reset there. A prediction is right if every legal next
symbol's output is above every illegal one's, as in task 1; after a string's last E the legal symbol
is the B of the next string.

The network and its hyperparameters are those of Gers, Schmidhuber & Cummins (2000) as far as known:
4 blocks of 2 cells, gates and outputs with biases, cells without, 424 weights in [-0.2, 0.2], input
and output gate biases -0.5, -1, -1.5, -2, forget gate biases 0.5, 1, 1.5, 2, a = 0.5, and an update
after every step.

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

from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.network import online
from lstm_jax.network.losses import HALF_SQUARED, Loss
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.reber import INNER_GRAMMAR, SYMBOLS

GATE_BIASES = (0.5, 1.0, 1.5, 2.0)
LEARNING_RATE = 0.5


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
START = 0
"""The node before a string."""


def follow(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take one of a node's arcs and return its symbol and the next node, int32.

    >>> node, string = jnp.int32(START), ""
    >>> for bit in (0, 1, 0, 0, 1, 1, 0, 0, 0, 0):
    ...     symbol, node = follow(node, bit)
    ...     string += SYMBOLS[symbol]
    >>> string
    'BPBTXSEPEB'
    """
    return jnp.asarray(_NEXT_SYMBOL)[node, bit], jnp.asarray(_NEXT_NODE)[node, bit]


def is_right(outputs: jax.Array, node: jax.Array) -> jax.Array:
    """Return whether every legal symbol's output, of [7], is above every illegal one's."""
    is_legal = (jax.nn.one_hot(jnp.asarray(_NEXT_SYMBOL)[node], len(SYMBOLS)) > 0).any(0)
    least_legal = jnp.min(jnp.where(is_legal, outputs, jnp.inf))
    return least_legal > jnp.max(jnp.where(is_legal, -jnp.inf, outputs))


def network(*, forget_gates: bool = True) -> Architecture:
    """Return the publication's network, or the same without forget gates.

    >>> network().num_weights
    424
    """
    return Architecture(
        num_inputs=len(SYMBOLS),
        blocks=(2,) * len(GATE_BIASES),
        num_outputs=len(SYMBOLS),
        recurrent="cells",
        input_to_output=True,
        biases=("input_gate", "forget_gate", "output_gate", "output"),
        forget_gates=forget_gates,
    )


def hyperparameters(*, forget_gates: bool = True) -> Hyperparameters:
    """Return the publication's hyperparameters."""
    negative = tuple(-bias for bias in GATE_BIASES)
    return Hyperparameters(
        learning_rate=LEARNING_RATE,
        init_range=0.2,
        input_gate_bias=negative,
        output_gate_bias=negative,
        forget_gate_bias=GATE_BIASES if forget_gates else None,
    )


class StreamState(NamedTuple):
    """State of one trial."""

    learner: online.Learner
    """The network, its state and traces."""
    symbol: jax.Array
    """int32, the next input."""
    node: jax.Array
    """int32, the grammar's node after it."""
    streams: jax.Array
    """int32, streams that have ended."""
    right: jax.Array
    """int32, right predictions of the current stream."""
    longest: jax.Array
    """int32, the most right predictions of any stream."""


@dataclasses.dataclass(frozen=True)
class StreamTraining:
    """Online training of one trial; `jax.vmap` lifts it to many."""

    architecture: Architecture
    """The network."""
    hyperparameters: Hyperparameters
    """The initial weights and the learning rate."""
    loss: Loss = HALF_SQUARED
    """Loss of the output units at every step."""
    reset: bool = False
    """Whether state and traces are reset before every string."""

    def init(self, key: jax.Array) -> StreamState:
        """Return the state before the first string."""
        parameters = initialise(
            key,
            self.architecture,
            init_range=self.hyperparameters.init_range,
            input_gate_bias=self.hyperparameters.input_gate_bias,
            output_gate_bias=self.hyperparameters.output_gate_bias,
            forget_gate_bias=self.hyperparameters.forget_gate_bias,
        )
        learner = online.init_learner(self.architecture, parameters, self._optimiser)
        symbol, node = follow(jnp.int32(START), jnp.int32(0))
        return StreamState(learner, symbol, node, *(jnp.int32(0),) * 3)

    def learn(self, state: StreamState, bits: jax.Array) -> StreamState:
        """Learn one symbol for each random bit, [T] int32."""
        return jax.lax.scan(lambda state, bit: (self._step(state, bit), None), state, bits)[0]

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return optax.sgd(self.hyperparameters.learning_rate)

    def _step(self, state: StreamState, bit: jax.Array) -> StreamState:
        symbol, node = follow(state.node, bit)
        target = jax.nn.one_hot(symbol, self.architecture.num_outputs)
        outputs, learner = online.learn(
            self.architecture, state.learner, state.symbol, target, loss=self.loss
        )
        learner = online.update(self._optimiser, learner)
        is_wrong = ~is_right(outputs, state.node)
        first_symbol, first_node = follow(jnp.int32(START), bit)
        starts = is_wrong | (state.node == START) if self.reset else is_wrong
        fresh = online.start_sequence(self.architecture, learner)
        right = state.right + 1
        return StreamState(
            learner=jax.tree.map(lambda a, b: jnp.where(starts, a, b), fresh, learner),
            symbol=jnp.where(is_wrong, first_symbol, symbol),
            node=jnp.where(is_wrong, first_node, node),
            streams=state.streams + is_wrong.astype(jnp.int32),
            right=jnp.where(is_wrong, 0, right),
            longest=jnp.where(is_wrong, state.longest, jnp.maximum(state.longest, right)),
        )
