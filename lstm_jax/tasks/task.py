"""Interface of tasks: a network, a generator of sequences, a criterion and a stopping rule.

A row of the paper's tables is one `Task`, and so is a problem of your own. All functions of a task
are pure and written for one sequence; `jit`, `vmap` and `scan` transform them. Everything else in a
task is plain data.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar, get_args

import jax
import jax.numpy as jnp

from lstm_jax.cell.pytrees import exportable
from lstm_jax.cell.stack import Stack
from lstm_jax.cell.validation import (
    as_float,
    as_integer,
    check_choice,
    check_key,
    check_type,
    convert_fields,
    picklable,
    require,
)
from lstm_jax.tasks.checks import check_functions
from lstm_jax.tasks.hyperparameters import Hyperparameters

ErrorAt = Literal["end", "every_step"]


@exportable
class Example(NamedTuple):
    """One sequence, padded to the task's `max_length` T.

    Targets are [K] for a task with a target at the end, and [T, K] with a target at every step.

    Attributes:
      inputs: [T] int32, the indices of one-hot vectors; or [T, I] float32.
      targets: float32, the targets that the training loss uses.
      true_targets: float32, the targets without noise, which tests use; in most tasks equal to
        `targets`.
      length: int32, the number of steps before the padding.
      legal: [T, K] float32, 1 for every symbol that may come next and 0 for others; None if unused.
    """

    inputs: jax.Array
    targets: jax.Array
    true_targets: jax.Array
    length: jax.Array
    legal: jax.Array | None = None


def real_steps(example: Example) -> jax.Array:
    """Return the mask of steps before the padding, [T]; [T, B] for a batch on the last axis."""
    steps = jnp.arange(example.inputs.shape[0], dtype=example.length.dtype)
    return steps.reshape((-1,) + (1,) * example.length.ndim) < example.length[None]


def in_turn(sequences: Example, n: jax.Array | int) -> Example:
    """Return sequence n, modulo the number of sequences, of a set with the batch axis first."""
    size = sequences.length.shape[0]
    return jax.tree.map(lambda array: array[n % size], sequences)


@dataclasses.dataclass(frozen=True)
class StreamRule:
    """Stopping rule: a trial is solved if the last `window` training sequences are good enough.

    Attributes:
      window: the number of training sequences, at least 1.
      max_wrong: the most of them that may be wrong, at least 0.
      mean_error: the bound that their mean absolute error must stay below, positive; None: no
        bound.
    """

    window: int
    max_wrong: int = 0
    mean_error: float | None = None

    def __post_init__(self) -> None:
        _check_rule(self, "window")


@dataclasses.dataclass(frozen=True)
class TestRule:
    """Stopping rule: a trial is solved if a test, with training paused, is good enough.

    Attributes:
      interval: the number of training sequences between tests, at least 1.
      size: the number of test sequences, at least 1.
      max_wrong, mean_error: as in `StreamRule`, of the test sequences.
    """

    interval: int
    size: int
    max_wrong: int = 0
    mean_error: float | None = None

    def __post_init__(self) -> None:
        _check_rule(self, "interval", "size")


def _check_rule(rule: StreamRule | TestRule, *counts: str) -> None:
    convert_fields(rule, functools.partial(as_integer, least=1), *counts)
    convert_fields(rule, functools.partial(as_integer, least=0), "max_wrong")
    if rule.mean_error is not None:
        convert_fields(rule, functools.partial(as_float, above=0.0), "mean_error")


@dataclasses.dataclass(frozen=True)
class Published:
    """The numbers that the paper prints for a row; None where it prints none.

    Attributes:
      table: the table's name in the paper.
      success_rate: solved trials, in percent.
      mean_sequences: mean number of training sequences until `Task.rule` was met.
      first_mean_sequences: mean number of training sequences until `Task.first_rule` was met.
      test_wrong: mean number of wrong sequences among `Task.test_size`.
      test_fraction: mean fraction of wrong test sequences.
      test_error: mean error of test sequences.
    """

    table: str = "none"
    success_rate: float | None = None
    mean_sequences: float | None = None
    first_mean_sequences: float | None = None
    test_wrong: float | None = None
    test_fraction: float | None = None
    test_error: float | None = None

    def __post_init__(self) -> None:
        numbers = [
            name for name, value in vars(self).items() if name != "table" and value is not None
        ]
        convert_fields(self, functools.partial(as_float, least=0.0), *numbers)


class Network(Protocol):
    """The description of a network, the LSTM's `Architecture` or a baseline's: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

    @property
    def num_inputs(self) -> int:
        """I, the number of input units."""
        ...

    @property
    def num_outputs(self) -> int:
        """K, the number of output units."""
        ...

    @property
    def num_weights(self) -> int:
        """W, the number of weights."""
        ...


Data = Any  # what all sequences of a trial share: a pytree that only the task knows, or None
NetworkT = TypeVar("NetworkT", bound=Network, covariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(Generic[NetworkT]):
    """A problem to learn, such as a row of the paper's tables.

    A network, a generator of sequences and a criterion are enough:

    >>> from lstm_jax import Architecture
    >>> from lstm_jax.tasks import within
    >>> def sample(key, data):
    ...     bit = jax.random.bernoulli(key).astype(jnp.int32)
    ...     target = bit.astype(jnp.float32)[None]
    ...     return Example(jnp.append(bit, jnp.full(9, 2)), target, target, jnp.int32(10))
    >>> net = Architecture(num_inputs=3, blocks=(1,), num_outputs=1)
    >>> task = Task(architecture=net, sample=sample, is_correct=within(0.3))
    >>> task.max_length, task.error_at
    (10, 'end')

    Attributes:
      architecture: an `Architecture`, a `Stack` without dropout, or a baseline's network.
      sample: draws a training sequence, (key, data) -> `Example`, with the data of `prepare`.
      is_correct: the criterion, (outputs, example) -> bool, for outputs shaped as the targets.
      name: the row's name, such as "6a"; result files are named after it.
      title: a short description for tables and pictures; "": the name.
      error_at: "end" for one target at the end of a sequence, or "every_step".
      max_length: T, the most steps of a sequence; 0: the length of the arrays of `sample`.
      hyperparameters: those of the network and its training.
      rule: the stopping rule, which says when a trial has solved the task.
      trials: the number of trials in the paper, at least 1.
      max_sequences: the most training sequences of a trial, at least 1.
      published: the paper's numbers.
      test_size: the sequences of the final test, at least 1.
      fixed_length: whether every sequence has `max_length` steps, so that no mask is needed.
      prepare: (key, trial) -> the data that all sequences of a trial share, such as its training
        set. Runs on the host, with the same key for all trials. An array that is the same object
        for all trials is kept once per device, others once per trial. None: no such data.
      training_set: (data) -> all training sequences, the batch axis first, which are presented in
        turn; None: `sample` draws them.
      sample_test: like `sample`, for test sequences; None: `sample` itself.
      test_set: (data) -> all test sequences, likewise; None: `sample_test` draws them.
      first_rule: a weaker rule on the same tests, whose first success is recorded (ST1 of task 3).
      sequential_construction: whether the network starts without memory blocks and gets the next
        one whenever the training error has stopped decreasing (section 4, a remedy for the abuse
        problem).
      construction_interval: the training sequences between two comparisons of that error; with a
        `TestRule`, its interval.

    Raises:
      ValueError: if a number or a choice is out of its range, or a function returns something else
        than its field says. `TrialRunner` checks the values of a sequence.
    """

    architecture: NetworkT
    sample: Callable[[jax.Array, Data], Example]
    is_correct: Callable[[jax.Array, Example], jax.Array]
    name: str = "own"
    title: str = ""
    error_at: ErrorAt = "end"
    max_length: int = 0
    hyperparameters: Hyperparameters = dataclasses.field(default_factory=Hyperparameters)
    rule: StreamRule | TestRule = dataclasses.field(default_factory=lambda: StreamRule(2000))
    trials: int = 10
    max_sequences: int = 100_000
    published: Published = dataclasses.field(default_factory=Published)
    test_size: int = 2560
    fixed_length: bool = False
    prepare: Callable[[jax.Array, int], Data] | None = None
    training_set: Callable[[Data], Example] | None = None
    sample_test: Callable[[jax.Array, Data], Example] | None = None
    test_set: Callable[[Data], Example] | None = None
    first_rule: TestRule | None = None
    sequential_construction: bool = False
    construction_interval: int = 100

    def __post_init__(self) -> None:
        counts = ("trials", "max_sequences", "test_size", "construction_interval")
        convert_fields(self, functools.partial(as_integer, least=1), *counts)
        convert_fields(self, functools.partial(as_integer, least=0), "max_length")
        check_choice("error_at", self.error_at, get_args(ErrorAt))
        if not self.title:
            object.__setattr__(self, "title", self.name)
        check_type("hyperparameters", self.hyperparameters, Hyperparameters)
        is_rule = isinstance(self.rule, (StreamRule, TestRule))
        require(is_rule, "rule", "a StreamRule or a TestRule", self.rule)
        if self.first_rule is not None:
            are_tests = isinstance(self.rule, TestRule) and isinstance(self.first_rule, TestRule)
            require(are_tests, "first_rule", "a TestRule beside a TestRule", self.first_rule)
        is_network = all(hasattr(self.architecture, n) for n in ("num_inputs", "num_outputs"))
        require(is_network, "architecture", "a network, such as Architecture", self.architecture)
        if isinstance(self.architecture, Stack):
            _check_stack(self, self.architecture)
        if self.prepare is None or not self.max_length:
            example = check_functions(self)
            object.__setattr__(self, "max_length", example.inputs.shape[0])

    def __getstate__(self) -> dict[str, object]:
        return picklable(self, "define it with `def` in a module")

    def sample_batch(self, key: jax.Array, size: int, data: Data = None) -> Example:
        """Draw `size` training sequences, the batch axis first.

        >>> from lstm_jax.tasks import make_task
        >>> make_task("6a").sample_batch(jax.random.key(0), 32).inputs.shape
        (32, 110)

        Args:
          key: PRNG key of all sequences.
          size: the number of sequences, at least 1.
          data: as made by `prepare`; None: `prepare(key, 0)`, if the task has it.

        Raises:
          ValueError: if `key` is not a PRNG key, or `size` is below 1.
        """
        check_key("key", key)
        size = as_integer("size", size, 1)
        data = self._data(key) if data is None else data
        return jax.vmap(self.sample, in_axes=(0, None))(jax.random.split(key, size), data)

    def _data(self, key: jax.Array) -> Data:
        return None if self.prepare is None else self.prepare(key, 0)


def _check_stack(task: Task, stack: Stack) -> None:
    """Raise ValueError, by name, for what trials of a stack of layers cannot do."""
    hyperparameters = task.hyperparameters
    if stack.dropout:
        raise ValueError(f"dropout must be 0 in trials, got {stack.dropout}; fit trains with it")
    if task.sequential_construction:
        raise ValueError("sequential_construction must be False for a stack of layers")
    if hyperparameters.add_gate_bias:
        raise ValueError("add_gate_bias must be False for a stack of layers")
    if stack.bidirectional and hyperparameters.update_after != "sequence":
        got = repr(hyperparameters.update_after)
        raise ValueError(f"update_after must be 'sequence' for two directions, got {got}")


def targets_by_step(task: Task, example: Example) -> tuple[jax.Array, jax.Array]:
    """Return the targets of all steps, [T, K], and whether they count, [T] bool."""
    counts, targets = real_steps(example), example.targets
    if task.error_at == "end":
        counts = counts & ~jnp.append(counts[1:], False)
        targets = jnp.broadcast_to(targets[None], (len(counts), len(targets)))
    return targets, counts


def at_targets(task: Task, outputs: jax.Array, example: Example) -> jax.Array:
    """Return the outputs [K] of the last step, or [T, K] with 0 at the padding."""
    if task.error_at == "end":
        return outputs[example.length - 1]
    return jnp.where(real_steps(example)[:, None], outputs, 0)


def replace_architecture(task: Task, **fields: object) -> Task:
    """Return the task with some fields of its architecture replaced.

    >>> from lstm_jax.tasks import make_task
    >>> replace_architecture(make_task("6a"), forget_gates=True).architecture.num_weights
    210

    Args:
      task: the task.
      **fields: fields of its architecture.

    Raises:
      TypeError: if the architecture does not have a field.
      ValueError: if a value is out of its range.
    """
    architecture = dataclasses.replace(task.architecture, **fields)
    return dataclasses.replace(task, architecture=architecture)


def replace_hyperparameters(task: Task, **fields: object) -> Task:
    """Return the task with some of its hyperparameters replaced.

    >>> from lstm_jax.tasks import make_task
    >>> replace_hyperparameters(make_task("6a"), learning_rate=0.3).hyperparameters.learning_rate
    0.3

    Args:
      task: the task.
      **fields: fields of `Hyperparameters`.

    Raises:
      TypeError: if `Hyperparameters` does not have a field.
      ValueError: if a value is out of its range.
    """
    hyperparameters = dataclasses.replace(task.hyperparameters, **fields)
    return dataclasses.replace(task, hyperparameters=hyperparameters)
