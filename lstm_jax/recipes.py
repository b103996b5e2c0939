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

# Training sequences between two words to the host, where the task's rule does not say.
CHUNK = 1000


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
    return task.rule.interval if isinstance(task.rule, TestRule) else CHUNK


def _sgd(task: Task) -> optax.GradientTransformation:
    return optax.sgd(task.conditions.learning_rate)


def _cross_entropy(task: Task) -> Task:
    architecture = dataclasses.replace(task.architecture, output="logistic_1")
    return dataclasses.replace(task, architecture=architecture)


# The recipe's rates where they are not the paper's, by the beginning of the row's name.
_SWAPPED_RATES = {"1-": 0.03, "2c-": 0.005}


def _swapped(task: Task) -> Task:
    architecture = dataclasses.replace(
        task.architecture, cell_input="centred_1", cell_output="centred_2", output="logistic_1"
    )
    rates = [rate for start, rate in _SWAPPED_RATES.items() if task.name.startswith(start)]
    rate = rates[0] if rates else task.conditions.learning_rate
    conditions = dataclasses.replace(task.conditions, learning_rate=rate)
    return dataclasses.replace(task, architecture=architecture, conditions=conditions)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper", "", _sgd),
        Recipe(
            "cross-entropy",
            "e_k = target_k - y_k, without f' of the output units",
            _sgd,
            _cross_entropy,
        ),
        Recipe(
            "swapped",
            "e_k = target_k - y_k, without f' of the output units; g in [-1, 1] and h in [-2, 2]; "
            "a = 0.03 for task 1 and 0.005 for task 2c",
            _sgd,
            _swapped,
        ),
        Recipe(
            "full-gradient",
            "exact gradient by backpropagation through time instead of the truncated one",
            _sgd,
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
