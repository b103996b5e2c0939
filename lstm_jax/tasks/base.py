"""What a task is: sequences as a pure function of a key, the paper's conditions, when it is solved.

A row of the paper's tables is one `Task`. Everything in it that runs is a pure function for one
sequence, fit for `jit`, `vmap` and `scan`; everything else is plain data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp


class Example(NamedTuple):
    """One sequence, padded to the task's `max_length`.

    With the error at the end, targets are [K]; with the error at every step, [T, K].
    """

    inputs: jax.Array  # [T] int32, the place of the one in a one-hot vector; or [T, I] float32
    targets: jax.Array  # float32, what the training error is measured against
    true_targets: jax.Array  # float32, the targets without the noise that some task adds to them
    length: jax.Array  # int32, the number of steps before the padding
    legal: jax.Array | None = None  # [T, K] float32, 1 for every symbol that might have come next


def real_steps(example: Example) -> jax.Array:
    """Which steps are not padding, [T] bool; with lanes, [T, *lanes].

    >>> inputs, nothing = jnp.zeros((3, 1)), jnp.zeros(1)
    >>> real_steps(Example(inputs, nothing, nothing, jnp.int32(2)))
    Array([ True,  True, False], dtype=bool)
    """
    steps = jnp.arange(example.inputs.shape[0], dtype=example.length.dtype)
    return steps.reshape((-1,) + (1,) * example.length.ndim) < example.length[None]


def in_turn(sequences: Example, n: jax.Array | int) -> Example:
    """Sequence number n, from 0, of a set that is gone through again and again.

    Args:
      sequences: the batch axis first.
      n: int32, of any size.
    """
    size = sequences.length.shape[0]
    return jax.tree.map(lambda array: array[n % size], sequences)


@dataclasses.dataclass(frozen=True)
class Conditions:
    """How a trial starts and learns (the paper's summary of conditions)."""

    learning_rate: float  # a; 0.0 for a rival that has none
    init_range: float  # weights are uniform in [-init_range, init_range]
    input_gate_bias: tuple[float, ...] | None = None  # one a block; None: random like all weights
    output_gate_bias: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class StreamRule:
    """Solved when the last `window` training sequences were good enough.

    At most `max_wrong` of them wrong and, unless None, their mean error below `mean_error`.
    """

    window: int
    max_wrong: int = 0
    mean_error: float | None = None


@dataclasses.dataclass(frozen=True)
class TestRule:
    """Solved when a test, taken with training paused, goes well enough.

    Every `interval` training sequences, `size` test sequences are presented: at most `max_wrong`
    wrong and, unless None, a mean error below `mean_error`.
    """

    interval: int
    size: int
    max_wrong: int = 0
    mean_error: float | None = None


@dataclasses.dataclass(frozen=True)
class Published:
    """What the paper's table gives for this row; None where it gives nothing."""

    table: str
    success_rate: float | None = None  # percent
    mean_sequences: float | None = None
    first_mean_sequences: float | None = None  # for `Task.first_rule`
    test_wrong: float | None = None  # of `test_size`, mean over trials
    test_fraction: float | None = None  # wrong ones, where the table gives a fraction
    test_error: float | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the paper's tables.

    Attributes:
      name: the row, such as "6a" or "2c-1000-50".
      title: a few words for tables and pictures.
      architecture: the paper's network for it: an `Architecture`, or a rival's description of its
        own, a dataclass that has `num_inputs`, `num_outputs` and `num_weights` as well.
      max_length: T, the longest sequence.
      error_at: "end" or "every_step".
      sample: draws a training sequence: (key, data) to `Example`, where `data` is from `prepare`.
      is_correct: (outputs, example) to a bool; outputs are [K] or [T, K], as the targets.
      conditions: the paper's initial weights and learning rate.
      rule: the paper's stopping criterion.
      trials: how many trials the paper made.
      max_sequences: training sequences after which a trial counts as failed.
      test_size: sequences of the final test.
      fixed_length: whether every sequence has `max_length` steps, so that no mask is needed.
      published: the paper's numbers.
      prepare: (key, trial) to what all sequences of a trial share, such as its training set; None
        for tasks that draw every sequence afresh. The key is the experiment's, not the trial's,
        since trials may share a training set; runs on the host.
      training_set: (data) to all sequences that a trial is trained on, the batch axis first, for
        methods that must see them in turn; None: training draws its sequences afresh.
      sample_test: like `sample`, for tests; None: `sample` itself.
      test_set: (data) to all sequences of a trial's tests, the batch axis first, where tests go
        through a fixed set; None: tests draw their sequences afresh.
      first_rule: a weaker criterion on the same tests, which is noted when met (ST1 of task 3).
      sequential_construction: whether the memory cells join the network once the training error
        has stopped decreasing (section 3.2, a cure of the abuse problem).
    """

    name: str
    title: str
    architecture: Any
    max_length: int
    error_at: Literal["end", "every_step"]
    sample: Callable[[jax.Array, Any], Example]
    is_correct: Callable[[jax.Array, Example], jax.Array]
    conditions: Conditions
    rule: StreamRule | TestRule
    trials: int
    max_sequences: int
    published: Published
    test_size: int = 2560
    fixed_length: bool = False
    prepare: Callable[[jax.Array, int], Any] | None = None
    training_set: Callable[[Any], Example] | None = None
    sample_test: Callable[[jax.Array, Any], Example] | None = None
    test_set: Callable[[Any], Example] | None = None
    first_rule: TestRule | None = None
    sequential_construction: bool = False

    def sample_batch(self, key: jax.Array, size: int, data: Any = None) -> Example:
        """Draws `size` training sequences, the batch axis first, for any framework.

        >>> from lstm_jax.tasks import make_task
        >>> make_task("6a").sample_batch(jax.random.key(0), 32).inputs.shape
        (32, 110)
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        return jax.vmap(self.sample, in_axes=(0, None))(jax.random.split(key, size), data)


def within(tolerance: float) -> Callable[[jax.Array, Example], jax.Array]:
    """A sequence is correct if every output is less than `tolerance` from its true target."""

    def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
        return jnp.all(jnp.abs(outputs - example.true_targets) < tolerance)

    return is_correct
