"""Overrides of the paper's hyperparameters, architecture and task, each by name.

| name                     | value                | what it changes                                    |
|--------------------------|----------------------|----------------------------------------------------|
| `linear-output`          |                      | output units are linear                            |
| `cross-entropy`          |                      | e_k = target_k - y_k, without f'(net_k)            |
| `derivative-offset`      | c                    | e_k = (f'(net_k) + c) (target_k - y_k)             |
| `tolerance`              | distance             | outputs this near to their targets have no loss    |
| `error-at-end`           |                      | a loss at the end of the sequence alone            |
| `targets`                | low,high             | targets 0 and 1 become these, in between linearly  |
| `g`, `h`                 | an activation        | another cell input or cell output activation       |
| `blocks`                 | cells of each block  | other memory blocks                                |
| `recurrent`              | all, cells, none     | which units feed back into the hidden layer        |
| `forget-gates`           |                      | blocks have forget gates (2000)                    |
| `peepholes`              |                      | gates see the states of their block's cells (2002) |
| `initial-activation`     | activation           | hidden activations start there instead of at 0     |
| `biases`                 | none, gates, ...     | which units have a bias                            |
| `extra-biases`           | types of unit        | further units that have a bias                     |
| `input-gate-bias`        | one, or one a block  | initial biases of the input gates; or `random`     |
| `output-gate-bias`       | one, or one a block  | initial biases of the output gates; or `random`    |
| `forget-gate-bias`       | one, or one a block  | initial biases of the forget gates; or `random`    |
| `add-gate-bias`          |                      | given gate biases are added to the random weights  |
| `init-range`             | range                | initial weights are uniform in [-range, range]     |
| `init-range-factor`      | factor               | the task's own range times a factor                |
| `learning-rate`          | a                    | another learning rate                              |
| `learning-rate-factor`   | factor               | the task's own learning rate times a factor        |
| `optimiser`              | adam,                | Adam at the constant rate a, or at                 |
|                          | adam-inverse-sqrt    | a / sqrt(1 + n / 5000) after n updates             |
| `full-gradient`          |                      | the exact gradient instead of the truncated one    |
| `update`                 | step,                | weights change after every step, or                |
|                          | next-first-step      | after the first step of the next sequence          |
| `training-set`           | size                 | a fixed training set, sampled uniformly            |
| `test-interval`          | sequences            | training sequences between two tests               |
| `construction-interval`  | sequences            | blocks are added one by one, when the loss stalls  |

Two overrides of the same thing exclude each other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args

import jax

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, Biases, Sources
from lstm_jax.cell.units import UNIT_TYPES
from lstm_jax.tasks import draws
from lstm_jax.tasks.task import (
    Data,
    Example,
    Task,
    TestRule,
    replace_architecture,
    replace_hyperparameters,
)

GATES_OF_1997 = ("input_gate", "output_gate")
BIASED_TYPES = (*(unit_type.name for unit_type in UNIT_TYPES), "output")

LSTMTask = Task[Architecture]
Value = Any  # of an override: whatever its own parser returns
T = TypeVar("T")


class OverrideSpec(NamedTuple):
    """One thing that can differ from the printed conditions."""

    changes: str
    """What it changes; a recipe has at most one override of each."""
    description: str
    """What it does, in words; {} stands for the value's text."""
    apply: Callable[[LSTMTask, Value], LSTMTask]
    """(task, value) to the changed task."""
    parse: Callable[[str], Value] | None = None
    """Parses the value's text; raises ValueError saying what is allowed. None: it takes no value."""


# Changes of a task -----------------------------------------------------------------------------


def replace_loss(task: Task, **fields: object) -> Task:
    """Returns the task with other fields of its loss."""
    loss = dataclasses.replace(task.hyperparameters.loss, **fields)
    return replace_hyperparameters(task, loss=loss)


def replace_blocks(task: LSTMTask, sizes: tuple[int, ...]) -> LSTMTask:
    """Returns the task with other memory blocks; further ones get the last block's gate biases."""
    hyperparameters, missing = task.hyperparameters, len(sizes) - task.architecture.num_blocks
    biases = {}
    for name in (f"{gate}_bias" for gate in (*GATES_OF_1997, "forget_gate")):
        values = getattr(hyperparameters, name)
        if values:
            biases[name] = (values + values[-1:] * missing)[: len(sizes)]
    return replace_hyperparameters(replace_architecture(task, blocks=sizes), **biases)


def _add_biases(task: LSTMTask, types: tuple[str, ...]) -> LSTMTask:
    return replace_architecture(task, biases=(*task.architecture.biased, *types))


def _set_gate_bias(task: LSTMTask, gate: str, values: tuple[float, ...] | str) -> LSTMTask:
    """Sets one value for all blocks, or one per block, of which the first J are used."""
    field = f"{gate}_gate_bias"
    if isinstance(values, str):  # random, like all weights
        return replace_hyperparameters(task, **{field: None})
    architecture = task.architecture
    num_blocks = architecture.num_blocks
    if not getattr(architecture, f"{gate}_gates"):
        raise ValueError(f"{gate}-gate-bias needs {gate} gates, task {task.name} has none")
    if 1 < len(values) < num_blocks:
        raise ValueError(
            f"{gate}-gate-bias must be one number or at least {num_blocks}, one per block, for task "
            f"{task.name}, got {len(values)}"
        )
    if f"{gate}_gate" not in architecture.biased:
        task = replace_architecture(task, biases=_with_gates(architecture, f"{gate}_gate"))
    values = values * num_blocks if len(values) == 1 else values[:num_blocks]
    return replace_hyperparameters(task, **{field: values})


def _with_gates(architecture: Architecture, gate: str) -> Biases | tuple[str, ...]:
    """Returns which units have a bias once the gates have one, `gate` in any case."""
    return (*architecture.biased, *GATES_OF_1997, gate) if architecture.biased else "gates"


def _error_at_end(task: LSTMTask, value: None) -> LSTMTask:
    """Keeps the last step's target of a task that has one at every step."""
    del value
    if task.error_at == "end":
        return task
    if not task.fixed_length:
        raise ValueError(f"error-at-end needs sequences of one length, got task {task.name}")

    def sample(key: jax.Array, data: Data = None) -> Example:
        example = task.sample(key, data)
        return example._replace(targets=example.targets[-1], true_targets=example.true_targets[-1])

    def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
        at_steps = example._replace(
            targets=example.targets[None], true_targets=example.true_targets[None]
        )
        return task.is_correct(outputs[None], at_steps)

    return dataclasses.replace(task, error_at="end", sample=sample, is_correct=is_correct)


def _rescale_targets(task: LSTMTask, value: tuple[float, float]) -> LSTMTask:
    """Maps targets 0 and 1 to low and high, for training and for the criterion alike."""
    low, high = value

    def rescaled(generate: Callable | None) -> Callable | None:
        if generate is None:
            return None

        def rescale(*arguments: object) -> Example:
            example = generate(*arguments)
            targets, true_targets = (
                low + (high - low) * t for t in (example.targets, example.true_targets)
            )
            return example._replace(targets=targets, true_targets=true_targets)

        return rescale

    names = ("sample", "sample_test", "training_set", "test_set")
    return dataclasses.replace(task, **{name: rescaled(getattr(task, name)) for name in names})


def _construct(task: LSTMTask, interval: int) -> LSTMTask:
    """Starts with no memory block and adds them sequentially."""
    if isinstance(task.rule, TestRule) and task.rule.interval != interval:
        raise ValueError(
            f"construction-interval must be the test interval, {task.rule.interval}, for task "
            f"{task.name}, got {interval}"
        )
    return dataclasses.replace(task, sequential_construction=True, construction_interval=interval)


def _fix_training_set(task: LSTMTask, size: int) -> LSTMTask:
    """Gives every trial a training set of its own; tests still draw fresh sequences."""
    if task.prepare is not None:
        raise ValueError(f"training-set needs fresh sequences, task {task.name} has a set")

    def prepare(key: jax.Array, trial: int) -> Example:
        return task.sample_batch(jax.random.fold_in(key, trial), size)

    def sample(key: jax.Array, data: Example) -> Example:
        index = draws.integers(draws.words(key, 1)[0], 0, size - 1)
        return jax.tree.map(lambda array: array[index], data)

    def sample_test(key: jax.Array, data: Example) -> Example:
        del data
        return (task.sample_test or task.sample)(key, None)

    return dataclasses.replace(task, prepare=prepare, sample=sample, sample_test=sample_test)


def _set_test_interval(task: LSTMTask, interval: int) -> LSTMTask:
    """Sets how often tests are made, which the text does not say."""
    if not isinstance(task.rule, TestRule):
        raise ValueError(f"test-interval needs a rule that tests, task {task.name} has none")
    first_rule = task.first_rule and dataclasses.replace(task.first_rule, interval=interval)
    rule = dataclasses.replace(task.rule, interval=interval)
    return dataclasses.replace(task, rule=rule, first_rule=first_rule)


def _scale(field: str) -> Callable[[LSTMTask, float], LSTMTask]:
    """Multiplies one of the task's hyperparameters by a factor."""
    return lambda task, factor: replace_hyperparameters(
        task, **{field: factor * getattr(task.hyperparameters, field)}
    )


def _field_of(
    replace: Callable[..., LSTMTask], field: str
) -> Callable[[LSTMTask, Value], LSTMTask]:
    """Sets a field to the override's value."""
    return lambda task, value: replace(task, **{field: value})


def _constant(
    replace: Callable[..., LSTMTask], **fields: Value
) -> Callable[[LSTMTask, None], LSTMTask]:
    """Sets fields to constants, for an override without a value."""
    return lambda task, _: replace(task, **fields)


def _gate_bias(gate: str) -> OverrideSpec:
    return OverrideSpec(
        f"{gate} gate bias",
        f"initial {gate} gate biases {{}}",
        lambda task, values: _set_gate_bias(task, gate, values),
        parse_gate_bias,
    )


# Parsers of values, each of which says what is allowed ------------------------------------------


def parse_number(text: str) -> float:
    """Parses a positive number."""
    value = _as_float(text)
    if value is None or value <= 0:
        raise ValueError("a positive number")
    return value


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parses finite numbers, comma-separated."""
    values = [_as_float(part) for part in text.split(",")]
    if None in values:
        raise ValueError("finite numbers, comma-separated")
    return tuple(value for value in values if value is not None)


def parse_count(text: str) -> int:
    """Parses an integer of at least 1."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError("an integer of at least 1")
    return int(text)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Parses integers of at least 1, comma-separated."""
    try:
        return tuple(map(parse_count, text.split(",")))
    except ValueError:
        raise ValueError("integers of at least 1, comma-separated") from None


def parse_range(text: str) -> tuple[float, float]:
    """Parses two numbers in [0, 1], the lower first."""
    values = parse_numbers(text)
    if len(values) != 2 or not 0 <= values[0] < values[1] <= 1:
        raise ValueError("two numbers in [0, 1], the lower first")
    return values[0], values[1]


def parse_types(text: str) -> tuple[str, ...]:
    """Parses types of unit that can have a bias."""
    types = tuple(text.split(","))
    if not set(types) <= set(BIASED_TYPES) or len(set(types)) < len(types):
        raise ValueError(f"of {', '.join(BIASED_TYPES)}, comma-separated")
    return tuple(name for name in BIASED_TYPES if name in types)


def parse_gate_bias(text: str) -> tuple[float, ...] | str:
    """Parses numbers, or "random"."""
    return text if text == "random" else parse_numbers(text)


def one_of(*allowed: str) -> Callable[[str], str]:
    """Returns a parser of one of some words; hyphens stand for underscores."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def _as_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# The table, in the order in which overrides are applied and named -------------------------------

_ACTIVATION = one_of(*ACTIVATIONS)
OVERRIDES: dict[str, OverrideSpec] = {
    "linear-output": OverrideSpec(
        "error at net_k", "linear output units", _constant(replace_architecture, output="identity")
    ),
    "cross-entropy": OverrideSpec(
        "error at net_k",
        "e_k = target_k - y_k, without f' of the output units",
        _constant(replace_loss, squared=0.0, cross_entropy=1.0),
    ),
    "derivative-offset": OverrideSpec(
        "error at net_k",
        "e_k = (f'(net_k) + {}) (target_k - y_k)",
        _field_of(replace_loss, "cross_entropy"),
        parse_number,
    ),
    "tolerance": OverrideSpec(
        "tolerance",
        "no loss where an output is within {} of its target",
        _field_of(replace_loss, "tolerance"),
        parse_number,
    ),
    "error-at-end": OverrideSpec(
        "place of the error", "a loss at the end of the sequence alone", _error_at_end
    ),
    "targets": OverrideSpec("targets", "targets 0 and 1 become {}", _rescale_targets, parse_range),
    "g": OverrideSpec("g", "g is {}", _field_of(replace_architecture, "cell_input"), _ACTIVATION),
    "h": OverrideSpec("h", "h is {}", _field_of(replace_architecture, "cell_output"), _ACTIVATION),
    "blocks": OverrideSpec("blocks", "memory blocks of {} cells", replace_blocks, parse_sizes),
    "recurrent": OverrideSpec(
        "recurrent connections",
        "recurrent connections: {}",
        _field_of(replace_architecture, "recurrent"),
        one_of(*get_args(Sources)),
    ),
    "forget-gates": OverrideSpec(
        "forget gates", "forget gates", _constant(replace_architecture, forget_gates=True)
    ),
    "peepholes": OverrideSpec(
        "peepholes",
        "peepholes from the internal states to the gates",
        _constant(replace_architecture, peepholes=True),
    ),
    "initial-activation": OverrideSpec(
        "initial activation",
        "hidden activations start a sequence at {}",
        _field_of(replace_architecture, "initial_activation"),
        parse_number,
    ),
    "biases": OverrideSpec(
        "biases",
        "units with a bias: {}",
        _field_of(replace_architecture, "biases"),
        one_of(*get_args(Biases)),
    ),
    "extra-biases": OverrideSpec(
        "biases", "further units with a bias: {}", _add_biases, parse_types
    ),
    "input-gate-bias": _gate_bias("input"),
    "output-gate-bias": _gate_bias("output"),
    "forget-gate-bias": _gate_bias("forget"),
    "add-gate-bias": OverrideSpec(
        "added gate bias",
        "given gate biases are added to the random weights",
        _constant(replace_hyperparameters, add_gate_bias=True),
    ),
    "init-range": OverrideSpec(
        "initial range",
        "initial weights from [-{0}, {0}]",
        _field_of(replace_hyperparameters, "init_range"),
        parse_number,
    ),
    "init-range-factor": OverrideSpec(
        "initial range", "initial weights {} times as large", _scale("init_range"), parse_number
    ),
    "learning-rate": OverrideSpec(
        "learning rate",
        "a = {}",
        _field_of(replace_hyperparameters, "learning_rate"),
        parse_number,
    ),
    "learning-rate-factor": OverrideSpec(
        "learning rate", "the learning rate a times {}", _scale("learning_rate"), parse_number
    ),
    "optimiser": OverrideSpec(
        "optimiser",
        "optimiser {}",
        lambda task, value: replace_hyperparameters(task, optimiser=value.replace("-", "_")),
        one_of("adam", "adam-inverse-sqrt"),
    ),
    "full-gradient": OverrideSpec(
        "gradient",
        "the exact gradient by backpropagation through time instead of the truncated one",
        _constant(replace_hyperparameters, gradient="full"),
    ),
    "update": OverrideSpec(
        "update",
        "updates after every {}",
        lambda task, value: replace_hyperparameters(task, update_after=value.replace("-", "_")),
        one_of("step", "next-first-step"),
    ),
    "training-set": OverrideSpec(
        "training set", "a fixed training set of {} sequences", _fix_training_set, parse_count
    ),
    "test-interval": OverrideSpec(
        "test interval", "a test every {} training sequences", _set_test_interval, parse_count
    ),
    "construction-interval": OverrideSpec(
        "construction",
        "memory blocks are added one by one, each when the mean error of {0} sequences is hardly "
        "below that of the {0} before",
        _construct,
        parse_count,
    ),
}
