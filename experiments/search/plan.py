"""The plan of a search: a row, a recipe, and the space in which hyperparameters are searched.

A configuration is a dictionary such as {"blocks": "2x2", "learning rate": 0.5}. It stands for a
recipe, which every command that runs the row accepts.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from absl.flags import FlagValues

from experiments.cli.flag_set import FlagSet
from experiments.rows.row import RowOptions, resolve
from lstm_jax.network.files import Document
from lstm_jax.tasks import Task, make_task, row_names
from lstm_jax.training.recipes.overrides import replace_blocks
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.random_search import (
    Bounds,
    RandomSearchUpdate,
    Sample,
    SearchSpace,
)

DIGITS = 3  # significant digits of a number in a configuration
TEST_SIZE = 256  # sequences of a trial's final test

# The flag of each hyperparameter, the override that sets it, and its name in configurations.
OVERRIDES = {
    "input_gate_bias": ("input-gate-bias", "input gate bias"),
    "output_gate_bias": ("output-gate-bias", "output gate bias"),
    "init_range": ("init-range", "initial range"),
    "learning_rate": ("learning-rate", "learning rate"),
}


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """All that decides the numbers of a search, but the number of configurations.

    Raises:
      ValueError: if nothing is left to search, or the recipe updates the weights within sequences.
    """

    task: str
    recipe: str  # that configurations add overrides to
    shapes: tuple[str, ...]  # of memory blocks, such as "2x2": 2 blocks of 2 cells
    space: SearchSpace  # of the other hyperparameters
    trials: int  # of each configuration, or of the random search of each shape
    seed: int
    max_sequences: int
    batch_size: int

    def __post_init__(self) -> None:
        if len(self.shapes) == 1 and not any(dataclasses.astuple(self.space)):
            flags = ", --".join(field.name for field in dataclasses.fields(SearchSpace))
            raise ValueError(f"--blocks or one of --{flags} must leave a choice")
        if _task_of(self.task, self.recipe).hyperparameters.update_after == "step":
            raise ValueError("a search needs updates after sequences, got update=step")

    def document(self) -> Document:
        """Return the plan as a file has it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def label(self, shape: str | None = None) -> str:
        """Return the name of the result's files, which holds a random search's shape."""
        recipe = None if self.recipe == "paper" else self.recipe.replace(",", "_")
        return ".".join(filter(None, ("search", self.task, recipe, shape)))

    def bounds(self, shape: str) -> dict[str, tuple[Bounds, bool]]:
        """Return, of each number searched, its bounds and whether it is log-uniform in them."""
        numbers: dict[str, tuple[Bounds | None, bool]] = {
            "learning rate": (self.space.learning_rate, True),
            "initial range": (self.space.init_range, True),
        }
        for gate in ("input", "output"):
            bounds = getattr(self.space, f"{gate}_gate_bias")
            for j in range(len(block_sizes(shape))):
                numbers[f"{gate} gate bias {j + 1}"] = (bounds, False)
        return {name: (bounds, is_log) for name, (bounds, is_log) in numbers.items() if bounds}

    def loop(self, shape: str) -> TrainingLoop:
        """Return the training loop of all trials with this shape of blocks.

        Each trial draws its hyperparameters from the space, or starts by `tpe.start_trials`.
        """
        task = replace_blocks(_task_of(self.task, self.recipe), block_sizes(shape))
        task = dataclasses.replace(task, max_sequences=self.max_sequences, test_size=TEST_SIZE)
        return TrainingLoop(task, RandomSearchUpdate(task, space=self.space))

    def recipe_of(self, configuration: Mapping[str, Any]) -> str:
        """Return the recipe that a configuration stands for."""
        shape = configuration["blocks"]
        values = {
            "blocks": [] if shape == task_shape(self.task, self.recipe) else block_sizes(shape)
        }
        for override, name in OVERRIDES.values():
            values[override] = [v for key, v in configuration.items() if key.startswith(name)]
        overrides = [f"{name}={','.join(map(str, v))}" for name, v in values.items() if v]
        return make_recipe("+".join([self.recipe, *overrides])).name

    def sample_of(self, configuration: Mapping[str, Any]) -> Sample:
        """Return the hyperparameters of a configuration, as `start_trial` takes them."""
        found = _task_of(self.task, self.recipe_of(configuration)).hyperparameters
        values: list[Any] = [getattr(found, name) for name in Sample._fields]
        as_array: Any = lambda value: None if value is None else jnp.asarray(value, jnp.float32)
        return Sample(*map(as_array, values))

    def command(self, configuration: Mapping[str, Any], out: pathlib.Path) -> str:
        """Return the command that runs the trials of a configuration again."""
        same = {name: getattr(self, name) for name in ("trials", "seed", "batch_size")}
        options = RowOptions(
            out, self.recipe_of(configuration), max_sequences=self.max_sequences, **same
        )
        return resolve(self.task, options).command


def rounded(value: float, bounds: Bounds) -> float:
    """Round a number to `DIGITS`, within its bounds, so that a command can name it.

    >>> rounded(0.123456, (0.1, 10.0)), rounded(-1.23456, (-1.2, 0.0)), rounded(0.0, (0.0, 1.0))
    (0.123, -1.2, 0.0)
    """
    digits = DIGITS - 1 - math.floor(math.log10(abs(value))) if value else 0
    return min(max(round(value, digits), bounds[0]), bounds[1])


def block_sizes(shape: str) -> tuple[int, ...]:
    """Return the number of cells of each block.

    >>> block_sizes("3x2")
    (2, 2, 2)
    """
    number, size = map(int, shape.split("x"))
    return (size,) * number


def task_shape(row: str, recipe: str) -> str:
    """Return the shape of the row's blocks.

    Raises:
      ValueError: if the recipe gives the blocks different sizes.
    """
    blocks = _task_of(row, recipe).architecture.blocks
    if len(set(blocks)) > 1:
        raise ValueError(f"--recipe must have blocks of one size in a search, got {recipe}")
    return f"{len(blocks)}x{blocks[0]}"


def _task_of(row: str, recipe: str) -> Task:
    return make_recipe(recipe).apply(make_task(row))


# Flags -------------------------------------------------------------------------------------------


def define_flags(flags: FlagSet) -> None:
    """Define the flags of the space."""
    flags.choice("task", "6a", row_names(), "The row whose hyperparameters are searched.")
    flags.items("blocks", ["own"], "Shapes of blocks, such as 2x2,1x4; 'own': the task's.")
    help = "LOWEST,HIGHEST, or 'own' for the task's value"
    flags.items("learning_rate", ["0.1", "10"], f"{help}; log-uniform.")
    flags.items("init_range", ["0.05", "2"], f"{help}; log-uniform.")
    flags.items("input_gate_bias", ["-6", "2"], f"{help}; uniform, for each block.")
    flags.items("output_gate_bias", ["own"], f"{help}; uniform, for each block.")


def search_space(values: FlagValues) -> SearchSpace:
    """Return the space of the flags, less what the recipe sets and the biases of unbiased gates.

    Raises:
      ValueError: if a flag asks for those, or bounds are wrong.
    """
    bounds = {name: _bounds(name, getattr(values, name)) for name in OVERRIDES}
    recipe, net = make_recipe(values.recipe), _task_of(values.task, values.recipe).architecture
    of_row = [o for row, o in recipe.overrides_in_rows.items() if row == values.task]
    changed = {o.name.removesuffix("-factor") for o in (*recipe.overrides, *of_row)}
    for flag, (override, name) in OVERRIDES.items():
        gate = name.removesuffix(" gate bias")
        if override in changed:
            reason = f"with --recipe={values.recipe}, which sets the {name}"
        elif gate != name and not (f"{gate}_gate" in net.biased and getattr(net, f"{gate}_gates")):
            reason = f"for {values.task}, whose {gate} gates have no biases"
        else:
            continue
        if values[flag].present and bounds[flag] is not None:
            got = ",".join(getattr(values, flag))
            raise ValueError(f"--{flag} must be 'own' {reason}, got {got!r}")
        bounds[flag] = None
    return SearchSpace(**bounds)


def _bounds(name: str, values: list[str]) -> Any:
    """Return the bounds of a flag; None for 'own'."""
    if values == ["own"]:
        return None
    try:
        return tuple(map(float, values))
    except ValueError:
        got = ",".join(values)
        raise ValueError(f"--{name} must be LOWEST,HIGHEST or 'own', got {got!r}") from None


def search_shapes(values: FlagValues) -> tuple[str, ...]:
    """Return the shapes of blocks of the flags.

    Raises:
      ValueError: if one is not a shape, or is repeated.
    """
    own = task_shape(values.task, values.recipe)
    shapes = tuple(own if shape == "own" else shape for shape in values.blocks)
    wrong = [s for s in shapes if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", s)]
    if wrong or not shapes:
        got = repr(wrong[0]) if wrong else "none"
        raise ValueError(f"--blocks must be shapes such as 2x2, or 'own', got {got}")
    if len(set(shapes)) < len(shapes):
        raise ValueError(f"--blocks must be distinct, got {','.join(shapes)}")
    return shapes
