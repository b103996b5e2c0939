"""What a task is: sequences as a pure function of a key, how to start, when it is solved.

A row of the paper's tables is one `Task`; so is a problem of your own, which needs no more than a
network, a generator of sequences and a criterion. Everything in it that runs is a pure function
for one sequence, fit for `jit`, `vmap` and `scan`; everything else is plain data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar, get_args

import jax
import jax.numpy as jnp

from lstm_jax.cell.validation import as_integer, check_key, check_number
from lstm_jax.tasks.hyperparameters import Hyperparameters

ErrorAt = Literal["end", "every_step"]


class Example(NamedTuple):
    """One sequence, padded to the task's `max_length`.

    With the error at the end, targets are [K]; with the error at every step, [T, K].
    """

    inputs: jax.Array
    """[T] int32, the place of the one in a one-hot vector; or [T, I] float32."""
    targets: jax.Array
    """float32, what the training error is measured against."""
    true_targets: jax.Array
    """float32, the targets without the noise that some task adds to them."""
    length: jax.Array
    """int32, the number of steps before the padding."""
    legal: jax.Array | None = None
    """[T, K] float32, 1 for every symbol that might have come next, or None."""


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
class StreamRule:
    """Solved when the last `window` training sequences were good enough.

    Raises:
      ValueError: if a number is out of its range.
    """

    window: int
    """How many of them."""
    max_wrong: int = 0
    """At most so many of them wrong."""
    mean_error: float | None = None
    """Their mean absolute error must be below this; None: no matter."""

    def __post_init__(self) -> None:
        as_integer("window", self.window, 1)
        _check_bounds(self)


@dataclasses.dataclass(frozen=True)
class TestRule:
    """Solved when a test, taken with training paused, goes well enough.

    Raises:
      ValueError: if a number is out of its range.
    """

    interval: int
    """Training sequences between tests."""
    size: int
    """Sequences a test."""
    max_wrong: int = 0
    """At most so many of them wrong."""
    mean_error: float | None = None
    """Their mean absolute error must be below this; None: no matter."""

    def __post_init__(self) -> None:
        as_integer("interval", self.interval, 1)
        as_integer("size", self.size, 1)
        _check_bounds(self)


@dataclasses.dataclass(frozen=True)
class Published:
    """What the paper's table gives for this row; None where it gives nothing."""

    table: str = "none"
    """The table's name in the paper."""
    success_rate: float | None = None
    """In percent."""
    mean_sequences: float | None = None
    """Training sequences until `Task.rule` was met."""
    first_mean_sequences: float | None = None
    """The same for `Task.first_rule`."""
    test_wrong: float | None = None
    """Wrong ones of `Task.test_size`, mean over trials."""
    test_fraction: float | None = None
    """Wrong ones, where the table gives a fraction."""
    test_error: float | None = None
    """Where the table gives one."""


class Network(Protocol):
    """What every description of a network has, be it the LSTM's or a rival's: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

    @property
    def num_inputs(self) -> int:
        """I, input units."""
        ...

    @property
    def num_outputs(self) -> int:
        """K, output units."""
        ...

    @property
    def num_weights(self) -> int:
        """W, all weights."""
        ...


Data = Any  # what all sequences of a trial share: a task's own pytree, or None

NetworkT = TypeVar("NetworkT", bound=Network, covariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(Generic[NetworkT]):
    """A problem to learn, such as a row of the paper's tables.

    A network, a generator and a criterion make one:

    >>> from lstm_jax import Architecture
    >>> def sample(key, data):
    ...     bit = jax.random.bernoulli(key).astype(jnp.int32)
    ...     target = bit.astype(jnp.float32)[None]
    ...     return Example(jnp.append(bit, jnp.full(9, 2)), target, target, jnp.int32(10))
    >>> net = Architecture(num_inputs=3, blocks=(1,), num_outputs=1)
    >>> task = Task(architecture=net, sample=sample, is_correct=within(0.3))
    >>> task.max_length, task.error_at
    (10, 'end')

    Raises:
      ValueError: if a number or a word is out of its range.
    """

    architecture: NetworkT
    """The network: an `Architecture`, or a rival's description of its own."""
    sample: Callable[[jax.Array, Data], Example]
    """Draws a training sequence: (key, data) to `Example`, where `data` is from `prepare`."""
    is_correct: Callable[[jax.Array, Example], jax.Array]
    """(outputs, example) to a bool; outputs are [K] or [T, K], as the targets."""
    name: str = "own"
    """The row, such as "6a"; result files are called by it."""
    title: str = ""
    """A few words for tables and pictures; "": the name."""
    error_at: ErrorAt = "end"
    """Where there is a target: at the end of the sequence, or at every step."""
    max_length: int = 0
    """T, the longest sequence; 0: as the generator's arrays are long."""
    hyperparameters: Hyperparameters = dataclasses.field(default_factory=Hyperparameters)
    """The initial weights and the learning rate."""
    rule: StreamRule | TestRule = dataclasses.field(default_factory=lambda: StreamRule(2000))
    """When a trial has solved it."""
    trials: int = 10
    """How many trials the paper made."""
    max_sequences: int = 100_000
    """Training sequences after which a trial counts as failed."""
    published: Published = dataclasses.field(default_factory=Published)
    """The paper's numbers."""
    test_size: int = 2560
    """Sequences of the final test."""
    fixed_length: bool = False
    """Whether every sequence has `max_length` steps, so that no mask is needed."""
    prepare: Callable[[jax.Array, int], Data] | None = None
    """(key, trial) to what all sequences of a trial share, such as its training set; None for
    tasks that draw every sequence afresh. The key is the experiment's, not the trial's, since
    trials may share a training set; runs on the host."""
    training_set: Callable[[Data], Example] | None = None
    """(data) to all sequences that a trial is trained on, the batch axis first, for methods that
    must see them in turn; None: training draws its sequences afresh."""
    sample_test: Callable[[jax.Array, Data], Example] | None = None
    """Like `sample`, for tests; None: `sample` itself."""
    test_set: Callable[[Data], Example] | None = None
    """(data) to all sequences of a trial's tests, the batch axis first, where tests go through a
    fixed set; None: tests draw their sequences afresh."""
    first_rule: TestRule | None = None
    """A weaker criterion on the same tests, which is noted when met (ST1 of task 3)."""
    sequential_construction: bool = False
    """Whether memory blocks join the network one after another, each once the training error has
    stopped decreasing (section 4, a cure of the abuse problem); at first there is none."""
    construction_interval: int = 100
    """Training sequences whose mean error is compared with that of as many before, for sequential
    construction; with a `TestRule`, its interval counts instead."""

    def __post_init__(self) -> None:
        for name in ("trials", "max_sequences", "test_size", "construction_interval"):
            as_integer(name, getattr(self, name), 1)
        as_integer("max_length", self.max_length, 0)
        if self.error_at not in get_args(ErrorAt):
            raise ValueError(f"error_at must be one of {get_args(ErrorAt)}, got {self.error_at!r}")
        if not self.title:
            object.__setattr__(self, "title", self.name)
        if not self.max_length:
            key = jax.random.key(0)
            one = jax.eval_shape(self.sample, key, self._data(key))
            object.__setattr__(self, "max_length", one.inputs.shape[0])

    def sample_batch(self, key: jax.Array, size: int, data: Data = None) -> Example:
        """Draws `size` training sequences, the batch axis first, for any framework.

        >>> from lstm_jax.tasks import make_task
        >>> make_task("6a").sample_batch(jax.random.key(0), 32).inputs.shape
        (32, 110)

        Args:
          key: for all their random numbers.
          size: how many, at least 1.
          data: what they share, from `prepare`; None: what that makes of `key` for trial 0, on
            the host, where the task has it.

        Raises:
          ValueError: if the size is not positive, or the key is none.
        """
        check_key("key", key)
        size = as_integer("size", size, 1)
        data = self._data(key) if data is None else data
        return jax.vmap(self.sample, in_axes=(0, None))(jax.random.split(key, size), data)

    def _data(self, key: jax.Array) -> Data:
        """What all sequences of trial 0 share."""
        return None if self.prepare is None else self.prepare(key, 0)


def replace_architecture(task: Task[Any], **fields: object) -> Task[Any]:
    """Returns the task with other fields of its architecture."""
    architecture = dataclasses.replace(task.architecture, **fields)
    return dataclasses.replace(task, architecture=architecture)


def replace_hyperparameters(task: Task[Any], **fields: object) -> Task[Any]:
    """Returns the task with other hyperparameters.

    >>> from lstm_jax.tasks import make_task
    >>> replace_hyperparameters(make_task("6a"), learning_rate=0.3).hyperparameters.learning_rate
    0.3
    """
    hyperparameters = dataclasses.replace(task.hyperparameters, **fields)
    return dataclasses.replace(task, hyperparameters=hyperparameters)


def within(tolerance: float) -> Callable[[jax.Array, Example], jax.Array]:
    """A sequence is correct if every output is less than `tolerance` from its true target.

    >>> target = jnp.array([1.0])
    >>> example = Example(jnp.zeros((3, 1)), target, target, jnp.int32(3))
    >>> bool(within(0.3)(jnp.array([0.8]), example)), bool(within(0.3)(jnp.array([0.5]), example))
    (True, False)

    Args:
      tolerance: the largest distance that is not allowed; positive.

    Raises:
      ValueError: if it is not.

    Returns:
      A `Task`'s `is_correct`: (outputs, example) to a bool.
    """
    check_number("tolerance", tolerance, above=0.0)

    def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
        return jnp.all(jnp.abs(outputs - example.true_targets) < tolerance)

    return is_correct


def _check_bounds(rule: StreamRule | TestRule) -> None:
    as_integer("max_wrong", rule.max_wrong, 0)
    if rule.mean_error is not None:
        check_number("mean_error", rule.mean_error, above=0.0)
