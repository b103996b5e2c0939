"""Overrides of the paper's hyperparameters, architecture and task, by name.

| name                    | value                   | effect                                       |
|-------------------------|-------------------------|----------------------------------------------|
| `linear-output`         |                         | output units are linear                      |
| `cross-entropy`         |                         | e_k = target_k - y_k, without f'(net_k)      |
| `derivative-offset`     | c                       | e_k = (f'(net_k) + c) (target_k - y_k)       |
| `tolerance`             | distance                | no loss for outputs this close to the target |
| `error-at-end`          |                         | a loss at the last step of a sequence only   |
| `targets`               | low,high                | targets 0 and 1 become low and high          |
| `g`                     | an activation           | activation function of the cell inputs       |
| `h`                     | an activation           | activation function of the cell outputs      |
| `blocks`                | cells of each block     | memory blocks                                |
| `recurrent`             | all, cells, none        | units that feed back into the hidden layer   |
| `forget-gates`          |                         | blocks have forget gates (2000)              |
| `peepholes`             |                         | gates see the states of their block (2002)   |
| `initial-activation`    | activation              | hidden activations before the first step     |
| `biases`                | none, gates, ...        | units that have a bias                       |
| `extra-biases`          | types of unit           | further units that have a bias               |
| `input-gate-bias`       | one or one per block    | initial input gate biases; or `random`       |
| `output-gate-bias`      | one or one per block    | initial output gate biases; or `random`      |
| `forget-gate-bias`      | one or one per block    | initial forget gate biases; or `random`      |
| `add-gate-bias`         |                         | given gate biases are added to random ones   |
| `init-range`            | range                   | initial weights are in [-range, range]       |
| `init-range-factor`     | factor                  | the task's initial range times a factor      |
| `learning-rate`         | a                       | learning rate                                |
| `learning-rate-factor`  | factor                  | the task's learning rate times a factor      |
| `optimiser`             | adam, adam-inverse-sqrt | Adam at the rate a or a / sqrt(1 + n / 5000) |
| `full-gradient`         |                         | the exact gradient, not the truncated one    |
| `update`                | step, next-first-step   | updates after every step, or one step late   |
| `training-set`          | size                    | a fixed training set, sampled uniformly      |
| `test-interval`         | sequences               | training sequences between two tests         |
| `construction-interval` | sequences               | blocks are added when the error has stalled  |

A recipe has each of them at most once, and one of those that change the same thing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, Biases, Sources
from lstm_jax.tasks import draws
from lstm_jax.tasks.task import (
    Data,
    Example,
    Task,
    TestRule,
    replace_architecture,
    replace_hyperparameters,
)
from lstm_jax.training.recipes.values import (
    one_of,
    parse_count,
    parse_gate_bias,
    parse_number,
    parse_range,
    parse_sizes,
    parse_types,
)

GATES_OF_1997 = ("input_gate", "output_gate")
LSTMTask = Task[Architecture]
Value = Any  # an override's value, as its parser returns it


class OverrideSpec(NamedTuple):
    """An entry of the table of overrides."""

    description: str
    """Its effect in words; {} stands for the value's text."""
    apply: Callable[[LSTMTask, Value], LSTMTask]
    """(task, value) to the changed task."""
    parse: Callable[[str], Value] | None = None
    """Parses the value's text; raises a ValueError that names the allowed values. None: it takes no
    value."""
    group: str = ""
    """The group of overrides that exclude each other, if it has more than one member."""


# Changes of a task -----------------------------------------------------------------------------


def replace_loss(task: Task, **fields: object) -> Task:
    """Return the task with other fields of its loss."""
    loss = dataclasses.replace(task.hyperparameters.loss, **fields)
    return replace_hyperparameters(task, loss=loss)


def replace_blocks(task: LSTMTask, sizes: tuple[int, ...]) -> LSTMTask:
    """Return the task with other memory blocks; added ones have the last block's gate biases."""
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
    """Set one value for all blocks, or one per block, of which the first J are used."""
    field = f"{gate}_gate_bias"
    if values == "random":
        return replace_hyperparameters(task, **{field: None})
    architecture = task.architecture
    num_blocks = architecture.num_blocks
    if not getattr(architecture, f"{gate}_gates"):
        raise ValueError(f"{gate}-gate-bias needs {gate} gates, task {task.name} has none")
    if 1 < len(values) < num_blocks:
        raise ValueError(
            f"{gate}-gate-bias must be one number or at least {num_blocks}, one per block, for "
            f"task {task.name}, got {len(values)}"
        )
    if f"{gate}_gate" not in architecture.biased:
        biased = architecture.biased and (*architecture.biased, *GATES_OF_1997, f"{gate}_gate")
        task = replace_architecture(task, biases=biased or "gates")
    values = values * num_blocks if len(values) == 1 else values[:num_blocks]
    return replace_hyperparameters(task, **{field: values})


def _error_at_end(task: LSTMTask, value: None) -> LSTMTask:
    """Remove all targets but the last step's."""
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
    """Map targets 0 and 1 to low and high, for the loss and for the criterion."""
    low, high = value

    def rescaled(generate: Callable) -> Callable:
        def rescale(*args: object) -> Example:
            example = generate(*args)
            targets, true_targets = (
                low + (high - low) * t for t in (example.targets, example.true_targets)
            )
            return example._replace(targets=targets, true_targets=true_targets)

        return rescale

    generators = {
        name: getattr(task, name) for name in ("sample", "sample_test", "training_set", "test_set")
    }
    return dataclasses.replace(task, **{k: rescaled(f) for k, f in generators.items() if f})


def _construct(task: LSTMTask, interval: int) -> LSTMTask:
    """Start without memory blocks and add them sequentially."""
    if isinstance(task.rule, TestRule) and task.rule.interval != interval:
        raise ValueError(
            f"construction-interval must be the test interval, {task.rule.interval}, for task "
            f"{task.name}, got {interval}"
        )
    return dataclasses.replace(task, sequential_construction=True, construction_interval=interval)


def _fix_training_set(task: LSTMTask, size: int) -> LSTMTask:
    """Give every trial a fixed training set; tests still draw fresh sequences."""
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
    """Set the interval between tests, which the paper does not give."""
    if not isinstance(task.rule, TestRule):
        raise ValueError(f"test-interval needs a rule that tests, task {task.name} has none")
    first_rule = task.first_rule and dataclasses.replace(task.first_rule, interval=interval)
    rule = dataclasses.replace(task.rule, interval=interval)
    return dataclasses.replace(task, rule=rule, first_rule=first_rule)


def _scale(field: str) -> Callable[[LSTMTask, float], LSTMTask]:
    """Return the change that multiplies a hyperparameter by the override's value."""
    return lambda task, factor: replace_hyperparameters(
        task, **{field: factor * getattr(task.hyperparameters, field)}
    )


def _field_of(
    replace: Callable[..., LSTMTask], field: str
) -> Callable[[LSTMTask, Value], LSTMTask]:
    """Return the change that sets a field to the override's value."""
    return lambda task, value: replace(task, **{field: value})


def _constant(
    replace: Callable[..., LSTMTask], **fields: Value
) -> Callable[[LSTMTask, None], LSTMTask]:
    """Return the change that sets fields to constants, for an override without a value."""
    return lambda task, _: replace(task, **fields)


def _gate_bias(gate: str) -> OverrideSpec:
    return OverrideSpec(
        f"initial {gate} gate biases {{}}",
        lambda task, values: _set_gate_bias(task, gate, values),
        parse_gate_bias,
    )


# The table, in the order in which overrides are applied and named -------------------------------

_ACTIVATION = one_of(*ACTIVATIONS)
_NET_ERROR = "error at net_k"
OVERRIDES: dict[str, OverrideSpec] = {
    "linear-output": OverrideSpec(
        "linear output units", _constant(replace_architecture, output="identity"), group=_NET_ERROR
    ),
    "cross-entropy": OverrideSpec(
        "e_k = target_k - y_k, without f' of the output units",
        _constant(replace_loss, squared=0.0, cross_entropy=1.0),
        group=_NET_ERROR,
    ),
    "derivative-offset": OverrideSpec(
        "e_k = (f'(net_k) + {}) (target_k - y_k)",
        _field_of(replace_loss, "cross_entropy"),
        parse_number,
        group=_NET_ERROR,
    ),
    "tolerance": OverrideSpec(
        "no loss where an output is within {} of its target",
        _field_of(replace_loss, "tolerance"),
        parse_number,
    ),
    "error-at-end": OverrideSpec("a loss at the end of the sequence alone", _error_at_end),
    "targets": OverrideSpec("targets 0 and 1 become {}", _rescale_targets, parse_range),
    "g": OverrideSpec("g is {}", _field_of(replace_architecture, "cell_input"), _ACTIVATION),
    "h": OverrideSpec("h is {}", _field_of(replace_architecture, "cell_output"), _ACTIVATION),
    "blocks": OverrideSpec("memory blocks of {} cells", replace_blocks, parse_sizes),
    "recurrent": OverrideSpec(
        "recurrent connections: {}",
        _field_of(replace_architecture, "recurrent"),
        one_of(*get_args(Sources)),
    ),
    "forget-gates": OverrideSpec(
        "forget gates", _constant(replace_architecture, forget_gates=True)
    ),
    "peepholes": OverrideSpec(
        "peepholes from the internal states to the gates",
        _constant(replace_architecture, peepholes=True),
    ),
    "initial-activation": OverrideSpec(
        "hidden activations start a sequence at {}",
        _field_of(replace_architecture, "initial_activation"),
        parse_number,
    ),
    "biases": OverrideSpec(
        "units with a bias: {}",
        _field_of(replace_architecture, "biases"),
        one_of(*get_args(Biases)),
    ),
    "extra-biases": OverrideSpec(
        "further units with a bias: {}", _add_biases, parse_types, group="biases"
    ),
    "input-gate-bias": _gate_bias("input"),
    "output-gate-bias": _gate_bias("output"),
    "forget-gate-bias": _gate_bias("forget"),
    "add-gate-bias": OverrideSpec(
        "given gate biases are added to the random weights",
        _constant(replace_hyperparameters, add_gate_bias=True),
    ),
    "init-range": OverrideSpec(
        "initial weights from [-{0}, {0}]",
        _field_of(replace_hyperparameters, "init_range"),
        parse_number,
    ),
    "init-range-factor": OverrideSpec(
        "initial weights {} times as large", _scale("init_range"), parse_number, group="init range"
    ),
    "learning-rate": OverrideSpec(
        "a = {}", _field_of(replace_hyperparameters, "learning_rate"), parse_number
    ),
    "learning-rate-factor": OverrideSpec(
        "the learning rate a times {}", _scale("learning_rate"), parse_number, group="learning rate"
    ),
    "optimiser": OverrideSpec(
        "optimiser {}",
        lambda task, value: replace_hyperparameters(task, optimiser=value.replace("-", "_")),
        one_of("adam", "adam-inverse-sqrt"),
    ),
    "full-gradient": OverrideSpec(
        "the exact gradient by backpropagation through time instead of the truncated one",
        _constant(replace_hyperparameters, gradient="full"),
    ),
    "update": OverrideSpec(
        "updates after every {}",
        lambda task, value: replace_hyperparameters(task, update_after=value.replace("-", "_")),
        one_of("step", "next-first-step"),
    ),
    "training-set": OverrideSpec(
        "a fixed training set of {} sequences", _fix_training_set, parse_count
    ),
    "test-interval": OverrideSpec(
        "a test every {} training sequences", _set_test_interval, parse_count
    ),
    "construction-interval": OverrideSpec(
        "memory blocks are added one by one, each when the mean error of {0} sequences is hardly "
        "below that of the {0} before",
        _construct,
        parse_count,
    ),
}
