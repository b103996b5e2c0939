"""Recipes: by which conditions the trials of a task are run.

`paper` has the paper's conditions to the letter. Every other recipe says in `changes` exactly what
it changes; its results are never shown without that label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import optax

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
        rule = task.rule
        chunk = rule.interval if isinstance(rule, TestRule) else CHUNK
        return Learning(task, self.optimiser(task), self.gradient, chunk)


def _sgd(task: Task) -> optax.GradientTransformation:
    return optax.sgd(task.conditions.learning_rate)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper", "", _sgd),
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
