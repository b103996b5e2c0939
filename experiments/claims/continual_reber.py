"""The continual embedded Reber grammar: strings of task 1 behind each other, without end.

Nothing marks where a string begins but the grammar, and nothing resets the network there. What is
asked is task 1's: at every step, every legal next symbol's output must be above every illegal
one's; behind a string's last E, that is the next one's B.

The conditions are those of Gers, Schmidhuber & Cummins (2000) as far as they are known here: 4
blocks of 2 cells, gates and outputs with biases, cells without, 424 weights, initial weights in
[-0.2, 0.2], input and output gate biases -0.5, -1, -1.5, -2, forget gate biases the same with a
plus, a = 0.5, an update after every step.

Reference:
  F. A. Gers, J. Schmidhuber and F. Cummins. Learning to forget: continual prediction with LSTM.
  Neural Computation 12(10):2451-2471, 2000.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.reber import INNER_GRAMMAR, SYMBOLS

GATE_BIASES = (0.5, 1.0, 1.5, 2.0)
RATE = 0.5


def _automaton() -> tuple[np.ndarray, np.ndarray]:
    """Both arcs out of every node, [nodes, 2] each: the symbol, and the node that it leads to.

    A node with one arc has it twice. Node 0 is before a string, 1 behind its B; then each branch
    has its inner nodes, the place before its second T or P, and the one before the last E.
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
    return np.array(symbols, np.int32), np.array(
        [[to for _, to in node] for node in both], np.int32
    )


_NEXT_SYMBOL, _NEXT_NODE = _automaton()
START = 0
"""The node before a string."""


def follow(node: jax.Array, bit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Takes one of a node's arcs: the symbol, and the node behind it, int32.

    >>> node, string = jnp.int32(START), ""
    >>> for bit in (0, 1, 0, 0, 1, 1, 0, 0, 0, 0):
    ...     symbol, node = follow(node, bit)
    ...     string += SYMBOLS[symbol]
    >>> string
    'BPBTXSEPEB'
    """
    return jnp.asarray(_NEXT_SYMBOL)[node, bit], jnp.asarray(_NEXT_NODE)[node, bit]


def is_right(outputs: jax.Array, node: jax.Array) -> jax.Array:
    """Whether every symbol that may follow is more active, [7], than every one that may not."""
    is_legal = (jax.nn.one_hot(jnp.asarray(_NEXT_SYMBOL)[node], len(SYMBOLS)) > 0).any(0)
    least_legal = jnp.min(jnp.where(is_legal, outputs, jnp.inf))
    return least_legal > jnp.max(jnp.where(is_legal, -jnp.inf, outputs))


def network(*, forget_gates: bool = True) -> Architecture:
    """The publication's network, or the same without forget gates.

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
    """How its trials start and learn."""
    negative = tuple(-bias for bias in GATE_BIASES)
    return Hyperparameters(
        learning_rate=RATE,
        init_range=0.2,
        input_gate_bias=negative,
        output_gate_bias=negative,
        forget_gate_bias=GATE_BIASES if forget_gates else None,
    )
