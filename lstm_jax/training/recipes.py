"""Recipes: by which conditions the trials of a task are run.

`paper` has the paper's conditions to the letter. Every other recipe says in `changes` exactly what
it changes; its results are never shown without that label.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lstm_jax.network.architecture import Biases
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks.base import Example, Task, TestRule
from lstm_jax.training.gradient_learning import GradientLearning
from lstm_jax.training.learning import Learning

# Training sequences between two words to the host, where the task's rule does not say; with
# sequential construction, also between two looks at whether the error still decreases.
CHUNK = 1000
CONSTRUCTION_CHUNK = 100

# The paper's cure for the drift of internal states, for task 2c, which has no biases by itself.
GATE_BIAS = -2.0

# With Adam, lower ones do better still.
ADAM_GATE_BIAS = -3.0
# Adam's rate is half its first one after three times as many updates, and falls with their root.
ADAM_UPDATES = 5000.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a task's trials are run.

    Attributes:
      name: what results are labelled with.
      changes: what differs from the paper's conditions, in a sentence; "" if nothing does.
      optimiser: makes the optimiser for a task.
      adapt: changes the task itself, such as its biases.
      gradient: as in `unroll`.
    """

    name: str
    changes: str
    optimiser: Callable[[Task], optax.GradientTransformation]
    adapt: Callable[[Task], Task] = lambda task: task
    gradient: Gradient = "truncated"

    def learning(self, task: Task) -> Learning:
        """The compiled functions' source for `task` under this recipe."""
        task = self.adapt(task)
        method = GradientLearning(task, self.optimiser(task), self.gradient)
        return Learning(task, method, chunk_of(task))


def chunk_of(task: Task) -> int:
    """Training sequences a chunk: the interval between tests where the task's rule has one."""
    if isinstance(task.rule, TestRule):
        return task.rule.interval
    return CONSTRUCTION_CHUNK if task.sequential_construction else CHUNK


def sgd(task: Task) -> optax.GradientTransformation:
    """Plain gradient descent with the task's own rate a."""
    return optax.sgd(task.conditions.learning_rate)


def steady_adam(task: Task) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) with the task's own rate a."""
    return optax.adam(task.conditions.learning_rate)


def adam(task: Task) -> optax.GradientTransformation:
    """Adam with the rate a / sqrt(1 + n / 5000) after n updates."""
    rate = task.conditions.learning_rate

    def falling(n: jax.typing.ArrayLike) -> jax.Array:
        return rate / jnp.sqrt(1 + jnp.asarray(n, jnp.float32) / ADAM_UPDATES)

    return optax.adam(falling)


def _with_units(task: Task, **functions: str) -> Task:
    """The task with other squashing functions."""
    architecture = dataclasses.replace(task.architecture, **functions)
    return dataclasses.replace(task, architecture=architecture)


def _with_rate(task: Task, rates: dict[str, float]) -> Task:
    """The task with the rate for the beginning of its name, or with its own."""
    own = task.conditions.learning_rate
    rate = next((r for start, r in rates.items() if task.name.startswith(start)), own)
    return dataclasses.replace(
        task, conditions=dataclasses.replace(task.conditions, learning_rate=rate)
    )


def _cross_entropy(task: Task) -> Task:
    return _with_units(task, output="logistic_1")


def _swapped(task: Task) -> Task:
    task = _with_rate(_cross_entropy(task), {"2c-": 0.005})
    return _with_units(task, cell_input="centred_1", cell_output="centred_2")


def _linear(task: Task) -> Task:
    return _with_units(task, cell_input="centred_1", cell_output="identity")


def _gate_bias(task: Task) -> Task:
    return _with_biases(_cross_entropy(_linear(task)), "gates", GATE_BIAS)


def _adam(task: Task) -> Task:
    return _with_rate(_cross_entropy(_linear(task)), {"2a": 0.03, "": 0.01})


def _adam_gate_bias(task: Task) -> Task:
    return _with_biases(_adam(task), "all", ADAM_GATE_BIAS)


def _adam_swapped(task: Task, rate: float = 0.02) -> Task:
    task = _with_rate(_swapped(task), {"": rate})
    return _with_biases(task, "all", *(-1.0 - j for j in range(task.architecture.num_blocks)))


def _with_biases(task: Task, biases: Biases, *input_gate_bias: float) -> Task:
    """The task with biases on these units, if it had none or fewer; one for all blocks, or each."""
    architecture = task.architecture
    if len(input_gate_bias) == 1:
        input_gate_bias *= architecture.num_blocks
    if architecture.biases == "none" or biases == "all":
        architecture = dataclasses.replace(architecture, biases=biases)
    conditions = dataclasses.replace(task.conditions, input_gate_bias=input_gate_bias)
    return dataclasses.replace(task, architecture=architecture, conditions=conditions)


def _at_end(task: Task) -> Task:
    """A task with the error at every step as one with the error at the end of its sequences.

    Raises:
      ValueError: if their ends are not all at the same step.
    """
    if task.error_at == "end":
        return task
    if not task.fixed_length:
        raise ValueError(f"recipe end-error needs sequences of one length, got task {task.name}")

    def sample(key: jax.Array, data: Any = None) -> Example:
        example = task.sample(key, data)
        return example._replace(targets=example.targets[-1], true_targets=example.true_targets[-1])

    def is_correct(outputs: jax.Array, example: Example) -> jax.Array:
        lifted = example._replace(
            targets=example.targets[None], true_targets=example.true_targets[None]
        )
        return task.is_correct(outputs[None], lifted)

    return dataclasses.replace(task, error_at="end", sample=sample, is_correct=is_correct)


def _end_error(task: Task) -> Task:
    return _cross_entropy(_at_end(task))


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper", "", sgd),
        Recipe(
            "cross-entropy",
            "e_k = target_k - y_k, without f' of the output units",
            sgd,
            _cross_entropy,
        ),
        Recipe(
            "swapped",
            "e_k = target_k - y_k, without f' of the output units; g in [-1, 1], h in [-2, 2]; "
            "a = 0.005 for task 2c",
            sgd,
            _swapped,
        ),
        Recipe("linear", "g in [-1, 1], h the identity", sgd, _linear),
        Recipe(
            "gate-bias",
            "biases on the gates, those of the input gates start at -2; g in [-1, 1], h the "
            "identity; e_k = target_k - y_k, without f' of the output units",
            sgd,
            _gate_bias,
        ),
        Recipe(
            "end-error",
            "an error at the sequence's end alone; e_k = target_k - y_k, without f' of the output "
            "units",
            sgd,
            _end_error,
        ),
        Recipe(
            "adam",
            "Adam at a / sqrt(1 + n / 5000) after n updates, a = 0.01, in task 2a 0.03; g in "
            "[-1, 1], h the identity; e_k = target_k - y_k, without f' of the output units",
            adam,
            _adam,
        ),
        Recipe(
            "adam-gate-bias",
            "biases on all units, those of the input gates start at -3; Adam at a / sqrt(1 + n / "
            "5000) after n updates, a = 0.01; g in [-1, 1], h the identity; e_k = target_k - y_k, "
            "without f' of the output units",
            adam,
            _adam_gate_bias,
        ),
        Recipe(
            "adam-swapped",
            "biases on all units, those of the input gates start at -1, -2, ...; Adam at 0.02; g "
            "in [-1, 1], h in [-2, 2]; e_k = target_k - y_k, without f' of the output units",
            steady_adam,
            _adam_swapped,
        ),
        Recipe(
            "adam-full-gradient",
            "exact gradient by backpropagation through time instead of the truncated one; biases "
            "on all units, those of the input gates start at -1, -2, ...; Adam at 0.01; g in "
            "[-1, 1], h in [-2, 2]; e_k = target_k - y_k, without f' of the output units",
            steady_adam,
            functools.partial(_adam_swapped, rate=0.01),
            gradient="full",
        ),
        Recipe(
            "full-gradient",
            "exact gradient by backpropagation through time instead of the truncated one",
            sgd,
            gradient="full",
        ),
    )
}


def make_recipe(name: str) -> Recipe:
    """Finds a recipe by name.

    >>> make_recipe("paper").changes
    ''

    Raises:
      ValueError: if there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
