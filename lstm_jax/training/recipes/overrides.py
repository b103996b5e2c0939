"""Departures from the paper's printed conditions, each by name, of which recipes are made.

| name                | value                 | what it changes                                    |
|---------------------|-----------------------|----------------------------------------------------|
| `linear-output`     |                       | output units are linear                            |
| `cross-entropy`     |                       | e_k = target_k - y_k, f' of net_k being left out   |
| `slope-plus`        | c                     | e_k = (f'(net_k) + c) (target_k - y_k)             |
| `tolerance`         | distance              | outputs as near to their targets have no error     |
| `error-at-end`      |                       | an error at the sequence's end alone               |
| `targets`           | low,high              | targets 0 and 1 become these, those between follow |
| `g`, `h`            | a squashing function  | another cell input or cell output function         |
| `blocks`            | cells of each block   | other memory blocks                                |
| `recurrence`        | all, cells, none      | what the hidden layer sees of itself               |
| `forget-gates`      |                       | blocks have forget gates (2000)                    |
| `peepholes`         |                       | gates see the states of their block's cells (2002) |
| `start`             | activation            | hidden activations start there, not at 0           |
| `biases`            | none, gates, ...      | these have a bias                                  |
| `more-biases`       | kinds of unit         | these have a bias as well                          |
| `input-gate-bias`   | one, or one a block   | input gates' biases start there; or: random        |
| `output-gate-bias`  | one, or one a block   | the same for the output gates                      |
| `forget-gate-bias`  | one, or one a block   | the same for the forget gates, which it needs      |
| `added-gate-bias`   |                       | given gate biases are added to the random weights  |
| `init-range`        | range                 | initial weights are uniform in [-range, range]     |
| `init-range-factor` | factor                | the task's own range times a factor                |
| `rate`              | a                     | another learning rate                              |
| `rate-factor`       | factor                | the task's own rate times a factor                 |
| `steady-adam`       |                       | Adam at the rate a, not gradient descent           |
| `falling-adam`      |                       | Adam at a / sqrt(1 + n / 5000) after n updates     |
| `full-gradient`     |                       | the exact gradient, not the truncated one          |
| `update`            | step, next-first-step | after every step; after the next sequence's first  |
| `training-set`      | size                  | a fixed set of sequences, drawn from evenly        |
| `test-every`        | sequences             | training sequences between two tests               |
| `grow`              | sequences             | blocks join one by one, as the error stops falling |

Two departures that decide the same thing exclude each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, Biases, Sources
from lstm_jax.tasks import draws
from lstm_jax.tasks.task import Data, Example, TestRule
from lstm_jax.training.recipes.parsers import (
    one_of,
    parse_count,
    parse_gate_bias,
    parse_kinds,
    parse_number,
    parse_range,
    parse_sizes,
)
from lstm_jax.training.recipes.setup import Setup

GATES = ("input_gate", "output_gate")  # of 1997

Value = Any  # of a departure: what its own parser makes of a text


class Departure(NamedTuple):
    """One thing that differs from the printed conditions."""

    decides: str
    """What it decides: a recipe has at most one departure that decides it."""
    words: str
    """What it changes, in words, with the value's text for {}."""
    change: Callable[[Setup, Value], Setup]
    """(setup, value) to the setup that differs."""
    parse: Callable[[str], Value] | None = None
    """The value's text to the value; raises ValueError saying what is allowed. None: no value."""


def with_blocks(setup: Setup, sizes: tuple[int, ...]) -> Setup:
    """Other memory blocks; where there are more, their gates' biases start as the last one's."""
    own, missing = setup.task.conditions, len(sizes) - setup.task.architecture.num_blocks
    names = [f"{gate}_bias" for gate in (*GATES, "forget_gate")]
    given = {name: getattr(own, name) for name in names if getattr(own, name)}
    biases = {name: (b + b[-1:] * missing)[: len(sizes)] for name, b in given.items()}
    return setup.with_architecture(blocks=sizes).with_conditions(**biases)


def _add_biases(setup: Setup, kinds: tuple[str, ...]) -> Setup:
    return setup.with_architecture(biases=(*setup.task.architecture.biased, *kinds))


def _set_gate_bias(setup: Setup, kind: str, values: tuple[float, ...] | str) -> Setup:
    """Biases start at one value for all blocks, or one a block, of which the first J are used."""
    if isinstance(values, str):  # random, like all weights
        return setup.with_conditions(**{f"{kind}_gate_bias": None})
    architecture = setup.task.architecture
    blocks = architecture.num_blocks
    if not getattr(architecture, f"{kind}_gates"):
        raise ValueError(f"{kind}-gate-bias needs {kind} gates, task {setup.task.name} has none")
    if 1 < len(values) < blocks:
        raise ValueError(
            f"{kind}-gate-bias must be one number or at least {blocks}, one a block, for task "
            f"{setup.task.name}, got {len(values)}"
        )
    if f"{kind}_gate" not in architecture.biased:
        setup = setup.with_architecture(biases=_with_gates(architecture, f"{kind}_gate"))
    values = values * blocks if len(values) == 1 else values[:blocks]
    return setup.with_conditions(**{f"{kind}_gate_bias": values})


def _with_gates(architecture: Architecture, kind: str) -> Biases | tuple[str, ...]:
    """Biases on the gates as well, of this kind in any case."""
    return (*architecture.biased, *GATES, kind) if architecture.biased else "gates"


def _error_at_end(setup: Setup, value: None) -> Setup:
    """A task with the error at every step as one with the error at the end of its sequences."""
    del value
    task = setup.task
    if task.error_at == "end":
        return setup
    if not task.fixed_length:
        raise ValueError(f"error-at-end needs sequences of one length, got task {task.name}")

    def sample(key: jax.Array, data: Data = None) -> Example:
        example = task.sample(key, data)
        return example._replace(targets=example.targets[-1], true_targets=example.true_targets[-1])

    def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
        lifted = example._replace(
            targets=example.targets[None], true_targets=example.true_targets[None]
        )
        return task.is_correct(outputs[None], lifted)

    return setup.with_task(error_at="end", sample=sample, is_correct=is_correct)


def _code_targets(setup: Setup, value: tuple[float, float]) -> Setup:
    """Targets 0 and 1 become low and high, for training and for the criterion alike."""
    low, high = value

    def coded(generate: Callable | None) -> Callable | None:
        if generate is None:
            return None

        def code(*arguments: object) -> Example:
            example = generate(*arguments)
            targets, true_targets = (
                low + (high - low) * t for t in (example.targets, example.true_targets)
            )
            return example._replace(targets=targets, true_targets=true_targets)

        return code

    names = ("sample", "sample_test", "training_set", "test_set")
    return setup.with_task(**{name: coded(getattr(setup.task, name)) for name in names})


def _grow(setup: Setup, interval: int) -> Setup:
    """Sequential construction, from a network without memory blocks."""
    rule = setup.task.rule
    if isinstance(rule, TestRule) and rule.interval != interval:
        raise ValueError(
            f"grow must be the test interval, {rule.interval}, for task {setup.task.name}, "
            f"got {interval}"
        )
    return setup.with_task(sequential_construction=True, construction_interval=interval)


def _fix_training_set(setup: Setup, size: int) -> Setup:
    """Every trial trains on a set of its own; tests still draw their sequences afresh."""
    task = setup.task
    if task.prepare is not None:
        raise ValueError(f"training-set needs fresh sequences, task {task.name} has a set")

    def prepare(key: jax.Array, trial: int) -> Example:
        return task.sample_batch(jax.random.fold_in(key, trial), size)

    def sample(key: jax.Array, data: Example) -> Example:
        place = draws.integers(draws.words(key, 1)[0], 0, size - 1)
        return jax.tree.map(lambda array: array[place], data)

    def sample_test(key: jax.Array, data: Example) -> Example:
        del data
        return (task.sample_test or task.sample)(key, None)

    return setup.with_task(prepare=prepare, sample=sample, sample_test=sample_test)


def _test_every(setup: Setup, interval: int) -> Setup:
    """The text says of no test how often it is made."""
    task = setup.task
    if not isinstance(task.rule, TestRule):
        raise ValueError(f"test-every needs a rule that tests, task {task.name} has none")
    first_rule = task.first_rule and dataclasses.replace(task.first_rule, interval=interval)
    rule = dataclasses.replace(task.rule, interval=interval)
    return setup.with_task(rule=rule, first_rule=first_rule)


def _times(field: str) -> Callable[[Setup, float], Setup]:
    """The task's own condition times a factor."""

    def change(setup: Setup, factor: float) -> Setup:
        return setup.with_conditions(**{field: factor * getattr(setup.task.conditions, field)})

    return change


def _learn(field: str, value: str) -> Callable[[Setup, None], Setup]:
    """A field of the setup itself."""
    return lambda setup, _: dataclasses.replace(setup, **{field: value})


_FUNCTION = one_of(*ACTIVATIONS)
DEPARTURES: dict[str, Departure] = {
    "linear-output": Departure(
        "error at net_k",
        "linear output units",
        lambda setup, _: setup.with_architecture(output="identity"),
    ),
    "cross-entropy": Departure(
        "error at net_k",
        "e_k = target_k - y_k, without f' of the output units",
        lambda setup, _: setup.with_error(squared=0.0, cross_entropy=1.0),
    ),
    "slope-plus": Departure(
        "error at net_k",
        "e_k = (f'(net_k) + {}) (target_k - y_k)",
        lambda setup, c: setup.with_error(cross_entropy=c),
        parse_number,
    ),
    "tolerance": Departure(
        "tolerance",
        "no error where an output is within {} of its target",
        lambda setup, distance: setup.with_error(tolerance=distance),
        parse_number,
    ),
    "error-at-end": Departure(
        "place of the error", "an error at the sequence's end alone", _error_at_end
    ),
    "targets": Departure("targets", "targets 0 and 1 become {}", _code_targets, parse_range),
    "g": Departure(
        "g",
        "g is {}",
        lambda setup, name: setup.with_architecture(cell_input=name),
        _FUNCTION,
    ),
    "h": Departure(
        "h",
        "h is {}",
        lambda setup, name: setup.with_architecture(cell_output=name),
        _FUNCTION,
    ),
    "blocks": Departure("blocks", "memory blocks of {} cells", with_blocks, parse_sizes),
    "recurrence": Departure(
        "recurrence",
        "the hidden layer sees of itself: {}",
        lambda setup, sources: setup.with_architecture(recurrent=sources),
        one_of(*get_args(Sources)),
    ),
    "forget-gates": Departure(
        "forget gates",
        "forget gates",
        lambda setup, _: setup.with_architecture(forget_gates=True),
    ),
    "peepholes": Departure(
        "peepholes",
        "peepholes from the internal states to the gates",
        lambda setup, _: setup.with_architecture(peepholes=True),
    ),
    "start": Departure(
        "start",
        "hidden activations start a sequence at {}",
        lambda setup, value: setup.with_architecture(initial_activation=value),
        parse_number,
    ),
    "biases": Departure(
        "biases",
        "units with a bias: {}",
        lambda setup, kinds: setup.with_architecture(biases=kinds),
        one_of(*get_args(Biases)),
    ),
    "more-biases": Departure(
        "biases", "biases on these units as well: {}", _add_biases, parse_kinds
    ),
    "input-gate-bias": Departure(
        "input gate bias",
        "biases of the input gates start at {}",
        lambda setup, values: _set_gate_bias(setup, "input", values),
        parse_gate_bias,
    ),
    "output-gate-bias": Departure(
        "output gate bias",
        "biases of the output gates start at {}",
        lambda setup, values: _set_gate_bias(setup, "output", values),
        parse_gate_bias,
    ),
    "forget-gate-bias": Departure(
        "forget gate bias",
        "biases of the forget gates start at {}",
        lambda setup, values: _set_gate_bias(setup, "forget", values),
        parse_gate_bias,
    ),
    "added-gate-bias": Departure(
        "added gate bias",
        "given gate biases are added to the random weights",
        lambda setup, _: setup.with_conditions(added_gate_bias=True),
    ),
    "init-range": Departure(
        "initial range",
        "initial weights from [-{0}, {0}]",
        lambda setup, value: setup.with_conditions(init_range=value),
        parse_number,
    ),
    "init-range-factor": Departure(
        "initial range", "initial weights {} times as large", _times("init_range"), parse_number
    ),
    "rate": Departure(
        "rate",
        "a = {}",
        lambda setup, value: setup.with_conditions(learning_rate=value),
        parse_number,
    ),
    "rate-factor": Departure("rate", "the rate a times {}", _times("learning_rate"), parse_number),
    "steady-adam": Departure("optimiser", "Adam at the rate a", _learn("optimiser", "steady-adam")),
    "falling-adam": Departure(
        "optimiser",
        "Adam at a / sqrt(1 + n / 5000) after n updates",
        _learn("optimiser", "falling-adam"),
    ),
    "full-gradient": Departure(
        "gradient",
        "exact gradient by backpropagation through time instead of the truncated one",
        _learn("gradient", "full"),
    ),
    "update": Departure(
        "update",
        "updates after every {}",
        lambda setup, value: dataclasses.replace(setup, update=value),
        one_of("step", "next-first-step"),
    ),
    "training-set": Departure(
        "training set", "a fixed training set of {} sequences", _fix_training_set, parse_count
    ),
    "test-every": Departure(
        "test interval", "a test every {} training sequences", _test_every, parse_count
    ),
    "grow": Departure(
        "construction",
        "memory blocks join one by one, each when the error of {0} sequences is hardly below that "
        "of the {0} before",
        _grow,
        parse_count,
    ),
}
