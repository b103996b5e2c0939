"""Recipes: by which conditions the trials of a task are run.

`paper` has the paper's conditions to the letter. Every other recipe says in `changes` exactly what
it changes; its results are never shown without that label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import optax

from lstm_jax.gradient_learning import GradientLearning
from lstm_jax.tasks.base import Task, TestRule
from lstm_jax.training import Learning
from lstm_jax.unroll import Gradient

# Training sequences between two words to the host, where the task's rule does not say; with
# sequential construction, also between two looks at whether the error still decreases.
CHUNK = 1000
CONSTRUCTION_CHUNK = 100

# The paper's cure for the drift of internal states, for task 2c, which has no biases by itself.
GATE_BIAS = -2.0


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


def _linear_cross_entropy(task: Task) -> Task:
    return _with_rate(_cross_entropy(_linear(task)), {"1-": 0.05})


def _gate_bias(task: Task) -> Task:
    task = _cross_entropy(_linear(task))
    architecture = task.architecture
    if architecture.biases == "none":
        architecture = dataclasses.replace(architecture, biases="gates")
    bias = (GATE_BIAS,) * architecture.num_blocks
    conditions = dataclasses.replace(task.conditions, input_gate_bias=bias)
    return dataclasses.replace(task, architecture=architecture, conditions=conditions)


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
            "linear-cross-entropy",
            "g in [-1, 1], h the identity; e_k = target_k - y_k, without f' of the output units; "
            "a = 0.05 for task 1",
            sgd,
            _linear_cross_entropy,
        ),
        Recipe(
            "gate-bias",
            "biases on the gates, those of the input gates start at -2; g in [-1, 1], h the "
            "identity; e_k = target_k - y_k, without f' of the output units",
            sgd,
            _gate_bias,
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
