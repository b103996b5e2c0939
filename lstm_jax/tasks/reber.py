"""Experiment 1: the embedded Reber grammar (section 5.1, Table 1).

One-hot symbols B, T, P, S, X, V, E, numbered in this order. A string is B, a branch symbol T or P,
a string of the inner Reber grammar, the same branch symbol, E; both ways at a fork are equally
likely:

    BT BTXSE TE      BP BPVVE PE      BT BTSSXXTVVE TE

The network predicts the next symbol at every step. The second branch symbol can only be predicted
from the first, at least 5 steps before.

A trial has 256 training strings, drawn with equal probability, and 256 test strings; trials 10 i ..
10 i + 9 share both sets. Short strings occur repeatedly, as the grammar makes them; no test string
is in the training set. Arrays need a bound: strings of more than 50 symbols, of probability 2.5e-6,
are drawn again.

A string is correct if at every step every legal next symbol's output is above every illegal one's.
Both sets must be correct in a test, here every 500 training sequences; the text leaves that open.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cell.architecture import Architecture
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.hyperparameters import Hyperparameters
from lstm_jax.tasks.task import Example, Published, Task, TestRule, real_steps

SYMBOLS = "BTPSXVE"
SET_SIZE = 256
TRIALS_PER_PAIR = 10
MAX_LENGTH = 49  # steps: strings of at most 50 symbols
# The inner grammar: the arcs out of each node, as (symbol, next node).
INNER_GRAMMAR = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", None),),
)
# name: (blocks, learning rate, success rate, mean sequences)
ROWS = {
    "1-1": ((1,) * 4, 0.1, 100.0, 39_740),
    "1-2": ((2,) * 3, 0.1, 100.0, 21_730),
    "1-3": ((2,) * 3, 0.2, 97.0, 14_060),
    "1-4": ((1,) * 4, 0.5, 97.0, 9_500),
    "1-5": ((2,) * 3, 0.5, 100.0, 8_440),
}


class Strings(NamedTuple):
    """A set of N strings, padded.

    Attributes:
      symbols: [N, T + 1] uint8.
      legal: [N, T] uint8, the set of legal next symbols; bit k stands for symbol k.
      lengths: [N] int32, the number of steps, one less than the number of symbols.
    """

    symbols: jax.Array
    legal: jax.Array
    lengths: jax.Array


class Sets(NamedTuple):
    """The training set of a trial, and its test set, which are disjoint."""

    training: Strings
    test: Strings


def make(name: str) -> Task:
    """Return one of the rows "1-1" to "1-5"."""
    blocks, learning_rate, success_rate, mean_sequences = ROWS[name]
    return Task(
        name=name,
        title=f"embedded Reber grammar, {len(blocks)} blocks of {blocks[0]}, a = {learning_rate}",
        architecture=Architecture(
            num_inputs=len(SYMBOLS), blocks=blocks, num_outputs=len(SYMBOLS), biases="gates"
        ),
        max_length=MAX_LENGTH,
        error_at="every_step",
        sample=_sample,
        sample_test=_sample_test,
        test_set=test_set,
        prepare=prepare,
        is_correct=is_correct,
        hyperparameters=Hyperparameters(
            learning_rate=learning_rate,
            init_range=0.2,
            output_gate_bias=(-1.0, -2.0, -3.0, -4.0)[: len(blocks)],
        ),
        rule=TestRule(interval=500, size=2 * SET_SIZE),
        trials=3 * TRIALS_PER_PAIR,
        max_sequences=10 * mean_sequences,
        test_size=2 * SET_SIZE,
        published=Published(
            table="Table 1", success_rate=success_rate, mean_sequences=mean_sequences
        ),
    )


def prepare(key: jax.Array, trial: int) -> Sets:
    """Draw the sets of a trial, on the host; see `Task.prepare`."""
    rng = np.random.default_rng([*np.ravel(jax.random.key_data(key)), trial // TRIALS_PER_PAIR])
    training = [_draw_short_string(rng) for _ in range(SET_SIZE)]
    known = {string for string, _ in training}
    test: list[tuple[str, tuple[str, ...]]] = []
    while len(test) < SET_SIZE:
        string, legal = _draw_short_string(rng)
        if string not in known:
            test.append((string, legal))
    return Sets(_as_arrays(training), _as_arrays(test))


def training_set(data: Sets) -> Example:
    """Return all 256 training strings in order, the batch axis first."""
    return jax.vmap(_as_example)(*data.training)


def test_set(data: Sets) -> Example:
    """Return all 512 strings, those of the training set first, the batch axis first."""
    return jax.vmap(_as_example)(*jax.tree.map(lambda *sets: jnp.concatenate(sets), *data))


test_set.__test__ = False  # pytest would take it for a test


def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
    """Return whether at every step every legal symbol is more active than every illegal one."""
    is_right = predicts_legal_symbols(outputs, example.legal > 0)
    return jnp.all(~real_steps(example) | is_right)


def predicts_legal_symbols(outputs: jax.Array, is_legal: jax.Array) -> jax.Array:
    """Return whether every legal symbol is more active than every illegal one, for [..., K]."""
    largest = jnp.finfo(outputs.dtype).max  # an infinity would stop `jax_debug_infs`
    least_legal = jnp.min(jnp.where(is_legal, outputs, largest), axis=-1)
    most_illegal = jnp.max(jnp.where(is_legal, -largest, outputs), axis=-1)
    return least_legal > most_illegal


def draw_string(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Draw a string of any length, and the legal successors of each symbol but the last."""
    branch = "TP"[rng.integers(2)]
    string, legal = "B" + branch, ["TP"]
    node: int | None = 0
    while node is not None:
        arcs = INNER_GRAMMAR[node]
        legal.append("".join(symbol for symbol, _ in arcs))
        symbol, node = arcs[rng.integers(len(arcs))]
        string += symbol
    return string + branch + "E", (*legal, branch, "E")


def _draw_short_string(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    while True:
        string, legal = draw_string(rng)
        if len(legal) <= MAX_LENGTH:
            return string, legal


def _sample(key: jax.Array, data: Sets) -> Example:
    return _draw(key, data.training)


def _sample_test(key: jax.Array, data: Sets) -> Example:
    return _draw(key, data.test)


def _draw(key: jax.Array, strings: Strings) -> Example:
    index = random_numbers.integers(random_numbers.words(key, 1)[0], 0, SET_SIZE - 1)
    return _as_example(*(array[index] for array in strings))


def _as_example(symbols: jax.Array, legal: jax.Array, length: jax.Array) -> Example:
    bits = jnp.arange(len(SYMBOLS), dtype=jnp.uint8)
    targets = jax.nn.one_hot(symbols[1:], len(SYMBOLS), dtype=jnp.float32)
    return Example(
        inputs=symbols[:-1].astype(jnp.int32),
        targets=targets,
        true_targets=targets,
        length=length,
        legal=((legal[:, None] >> bits[None]) & 1).astype(jnp.float32),
    )


def _as_arrays(strings: list[tuple[str, tuple[str, ...]]]) -> Strings:
    symbols = np.zeros((len(strings), MAX_LENGTH + 1), np.uint8)
    legal = np.zeros((len(strings), MAX_LENGTH), np.uint8)
    for n, (string, successors) in enumerate(strings):
        symbols[n, : len(string)] = [SYMBOLS.index(symbol) for symbol in string]
        legal[n, : len(successors)] = [
            sum(1 << SYMBOLS.index(s) for s in set_) for set_ in successors
        ]
    lengths = np.array([len(successors) for _, successors in strings], np.int32)
    return Strings(jnp.asarray(symbols), jnp.asarray(legal), jnp.asarray(lengths))
