"""Overrides of the paper's hyperparameters, architecture and task, by name.

`OVERRIDES` lists them; `python -m experiments` prints the list. A recipe has at most one of the
overrides that change the same thing.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax

from lstm_jax.cell.activations import ACTIVATIONS
from lstm_jax.cell.architecture import Architecture, Biases, Sources
from lstm_jax.cell.units import UNIT_TYPES
from lstm_jax.tasks import random_numbers
from lstm_jax.tasks.functions import Bound
from lstm_jax.tasks.task import (
    Example,
    Task,
    TestRule,
    replace_architecture,
    replace_hyperparameters,
)

GATES_OF_1997 = ("input_gate", "output_gate")
BIASED_TYPES = (*(unit_type.name for unit_type in UNIT_TYPES), "output")

LSTMTask = Task[Architecture]
Value = Any  # an override's value, as its parser returns it
Change = Callable[[LSTMTask, Value], LSTMTask]


class Parser(NamedTuple):
    """A parser of values.

    Attributes:
      convert: text to a value; may raise ValueError.
      allowed: the allowed values, in words.
      fits: whether a value is allowed.
    """

    convert: Callable[[str], Value]
    allowed: str
    fits: Callable[[Value], bool] = lambda value: True

    def __call__(self, text: str) -> Value:
        """Return the value of a text; raise ValueError(allowed) if it is not allowed."""
        try:
            value = self.convert(text)
        except ValueError:
            raise ValueError(self.allowed) from None
        if not self.fits(value):
            raise ValueError(self.allowed)
        return value


class OverrideSpec(NamedTuple):
    """An entry of the table of overrides.

    Attributes:
      description: its effect in words; {} stands for the value's text.
      apply: (task, value) to the changed task.
      parse: parses the value's text, or raises ValueError(what is allowed); None: it takes no
        value.
      group: the group of overrides that exclude each other, if it has more than one member.
    """

    description: str
    apply: Change
    parse: Parser | None = None
    group: str = ""


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


def _change_targets(
    task: LSTMTask, change: Callable[[jax.Array], jax.Array], **fields: Value
) -> LSTMTask:
    """Change the targets of all sequences, for the loss and for the criterion."""
    names = ("sample", "sample_test", "training_set", "test_set")
    generators = {name: getattr(task, name) for name in names}
    changed = {name: Bound(_generate, (g, change)) for name, g in generators.items() if g}
    return dataclasses.replace(task, **fields, **changed)


def _generate(
    generator: Callable[..., Example], change: Callable[[jax.Array], jax.Array], *arguments: Value
) -> Example:
    return _with_targets(generator(*arguments), change)


def _with_targets(example: Example, change: Callable[[jax.Array], jax.Array]) -> Example:
    targets, true_targets = change(example.targets), change(example.true_targets)
    return example._replace(targets=targets, true_targets=true_targets)


def _error_at_end(task: LSTMTask, _: None) -> LSTMTask:
    if task.error_at == "end":
        return task
    if not task.fixed_length:
        raise ValueError(f"error-at-end needs sequences of one length, got task {task.name}")
    is_correct = Bound(_is_correct_at_end, (task.is_correct,))
    return _change_targets(task, _last_target, error_at="end", is_correct=is_correct)


def _is_correct_at_end(
    is_correct: Callable[[jax.Array, Example], jax.Array], outputs: jax.Array, example: Example
) -> jax.Array:
    """Judge the outputs of one step by the criterion of all steps."""
    return is_correct(outputs[None], _with_targets(example, lambda targets: targets[None]))


def _last_target(targets: jax.Array) -> jax.Array:
    return targets[..., -1, :]


def _rescale_targets(task: LSTMTask, value: tuple[float, float]) -> LSTMTask:
    return _change_targets(task, Bound(_rescale, value))


def _rescale(low: float, high: float, targets: jax.Array) -> jax.Array:
    return low + (high - low) * targets


def _fix_training_set(task: LSTMTask, size: int) -> LSTMTask:
    """Give every trial a fixed training set; tests still draw fresh sequences."""
    if task.prepare is not None:
        raise ValueError(f"training-set needs fresh sequences, task {task.name} has a set")
    return dataclasses.replace(
        task,
        prepare=Bound(_draw_set, (task, size)),
        sample=Bound(_sample_set, (size,)),
        sample_test=Bound(_sample_fresh, (task.sample_test or task.sample,)),
    )


def _draw_set(task: LSTMTask, size: int, key: jax.Array, trial: int) -> Example:
    return task.sample_batch(jax.random.fold_in(key, trial), size)


def _sample_set(size: int, key: jax.Array, data: Example) -> Example:
    index = random_numbers.integers(random_numbers.words(key, 1)[0], 0, size - 1)
    return jax.tree.map(lambda array: array[index], data)


def _sample_fresh(sample: Callable[..., Example], key: jax.Array, _: Example) -> Example:
    return sample(key, None)


def _set_test_interval(task: LSTMTask, interval: int) -> LSTMTask:
    """Set the interval between tests, which the paper does not give."""
    if not isinstance(task.rule, TestRule):
        raise ValueError(f"test-interval needs a rule that tests, task {task.name} has none")
    first_rule = task.first_rule and dataclasses.replace(task.first_rule, interval=interval)
    rule = dataclasses.replace(task.rule, interval=interval)
    return dataclasses.replace(task, rule=rule, first_rule=first_rule)


def _scale(field: str) -> Change:
    """Return the change that multiplies a hyperparameter by the override's value."""
    return lambda task, factor: replace_hyperparameters(
        task, **{field: factor * getattr(task.hyperparameters, field)}
    )


def _choose(field: str) -> Change:
    """Return the change that sets a hyperparameter to a word, in which "-" stands for "_"."""
    return lambda task, word: replace_hyperparameters(task, **{field: word.replace("-", "_")})


def _change(replace: Callable[..., LSTMTask], field: str = "", **constants: Value) -> Change:
    """Return the change that sets a field to the override's value, or fields to constants."""
    return lambda task, value: replace(task, **({field: value} if field else constants))


_loss = functools.partial(_change, replace_loss)
_network = functools.partial(_change, replace_architecture)
_training = functools.partial(_change, replace_hyperparameters)


# Parsers of values -----------------------------------------------------------------------------


def _one_of(*words: str) -> Parser:
    return Parser(str, f"one of {', '.join(words)}", words.__contains__)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


_NUMBER = Parser(float, "a positive number", lambda value: 0 < value < math.inf)
_COUNT = Parser(int, "an integer of at least 1", lambda value: value > 0)
_SIZES = Parser(
    lambda text: tuple(map(int, text.split(","))),
    "integers of at least 1, comma-separated",
    lambda sizes: min(sizes) > 0,
)
_RANGE = Parser(
    _numbers,
    "two numbers in [0, 1], the lower first",
    lambda values: len(values) == 2 and 0 <= values[0] < values[1] <= 1,
)
_TYPES = Parser(
    lambda text: tuple(sorted(text.split(","), key=BIASED_TYPES.index)),
    f"of {', '.join(BIASED_TYPES)}, comma-separated",
    lambda types: len(set(types)) == len(types),
)
_GATE_BIAS = Parser(
    lambda text: text if text == "random" else _numbers(text),
    "random, or finite numbers, comma-separated",
    lambda values: values == "random" or all(map(math.isfinite, values)),
)
_ACTIVATION = _one_of(*ACTIVATIONS)


# The table, in the order in which overrides are applied and named -------------------------------


def _gate_bias(gate: str) -> OverrideSpec:
    change = lambda task, values: _set_gate_bias(task, gate, values)
    return OverrideSpec(f"initial {gate} gate biases {{}}", change, _GATE_BIAS)


_NET_ERROR = "error at net_k"
OVERRIDES: dict[str, OverrideSpec] = {
    "linear-output": OverrideSpec(
        "linear output units", _network(output="identity"), group=_NET_ERROR
    ),
    "cross-entropy": OverrideSpec(
        "e_k = target_k - y_k, without f' of the output units",
        _loss(squared=0.0, cross_entropy=1.0),
        group=_NET_ERROR,
    ),
    "derivative-offset": OverrideSpec(
        "e_k = (f'(net_k) + {}) (target_k - y_k)", _loss("cross_entropy"), _NUMBER, _NET_ERROR
    ),
    "tolerance": OverrideSpec(
        "no loss where an output is within {} of its target", _loss("tolerance"), _NUMBER
    ),
    "error-at-end": OverrideSpec("a loss at the end of the sequence alone", _error_at_end),
    "targets": OverrideSpec("targets 0 and 1 become {}", _rescale_targets, _RANGE),
    "g": OverrideSpec("g is {}", _network("cell_input"), _ACTIVATION),
    "h": OverrideSpec("h is {}", _network("cell_output"), _ACTIVATION),
    "blocks": OverrideSpec("memory blocks of {} cells", replace_blocks, _SIZES),
    "recurrent": OverrideSpec(
        "recurrent connections: {}", _network("recurrent"), _one_of(*get_args(Sources))
    ),
    "forget-gates": OverrideSpec("forget gates", _network(forget_gates=True)),
    "peepholes": OverrideSpec(
        "peepholes from the internal states to the gates", _network(peepholes=True)
    ),
    "initial-activation": OverrideSpec(
        "hidden activations start a sequence at {}", _network("initial_activation"), _NUMBER
    ),
    "biases": OverrideSpec("units with a bias: {}", _network("biases"), _one_of(*get_args(Biases))),
    "extra-biases": OverrideSpec(
        "further units with a bias: {}",
        lambda task, types: replace_architecture(task, biases=(*task.architecture.biased, *types)),
        _TYPES,
        group="biases",
    ),
    "input-gate-bias": _gate_bias("input"),
    "output-gate-bias": _gate_bias("output"),
    "forget-gate-bias": _gate_bias("forget"),
    "add-gate-bias": OverrideSpec(
        "given gate biases are added to the random weights", _training(add_gate_bias=True)
    ),
    "init-range": OverrideSpec(
        "initial weights from [-{0}, {0}]", _training("init_range"), _NUMBER
    ),
    "init-range-factor": OverrideSpec(
        "initial weights {} times as large", _scale("init_range"), _NUMBER, group="init range"
    ),
    "learning-rate": OverrideSpec("a = {}", _training("learning_rate"), _NUMBER),
    "learning-rate-factor": OverrideSpec(
        "the learning rate a times {}", _scale("learning_rate"), _NUMBER, group="learning rate"
    ),
    "optimiser": OverrideSpec(
        "optimiser {}", _choose("optimiser"), _one_of("adam", "adam-inverse-sqrt")
    ),
    "full-gradient": OverrideSpec(
        "the exact gradient by backpropagation through time instead of the truncated one",
        _training(gradient="full"),
    ),
    "update": OverrideSpec(
        "updates after every {}", _choose("update_after"), _one_of("step", "next-first-step")
    ),
    "training-set": OverrideSpec("a fixed training set of {} sequences", _fix_training_set, _COUNT),
    "test-interval": OverrideSpec("a test every {} training sequences", _set_test_interval, _COUNT),
}
