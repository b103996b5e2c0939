"""What is tuned: a row, where its settings are looked for, and what settings mean to it.

Settings are numbers by name, such as {"blocks": "2x2", "learning rate": 0.5}, those alone that are
looked for. They mean a recipe, which any command that runs the row understands.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from lstm_jax.training.recipes.random_search import Bounds, SearchSpace
from lstm_jax.training.recipes.settings import (
    Settings,
    SettingsLearning,
    as_settings,
    learn_by_settings,
)
from lstm_jax.training.recipes.setup import Setup

from experiments.search.flags import blocks_of, shape_of
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.recipes.recipe import chunk_of, make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop

Values = Document  # by name
DIGITS = 3  # of every setting

# By what a row's name begins, the command that runs it.
COMMANDS = {
    "1": "embedded_reber",
    "2a": "noise_free",
    "2b": "noise_free",
    "2c": "very_long_lags",
    "3": "two_sequence",
    "4": "adding",
    "5": "multiplication",
    "6": "temporal_order",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides the numbers of a tuning run, but how many configurations are tried.

    Attributes:
      task: the row.
      recipe: that the settings depart from.
      shapes: of blocks, such as "2x2".
      space: where the other settings are looked for.
      trials: of each configuration, side by side.
      seed: of all random numbers.
      max_sequences: a trial's budget.
      batch_size: trials side by side on a device.
    """

    task: str
    recipe: str
    shapes: tuple[str, ...]
    space: SearchSpace
    trials: int
    seed: int
    max_sequences: int
    batch_size: int

    def __post_init__(self) -> None:
        if len(self.shapes) == 1 and not any(dataclasses.astuple(self.space)):
            names = [field.name for field in dataclasses.fields(SearchSpace)]
            raise ValueError(f"--blocks or one of --{', --'.join(names)} must leave a choice")

    def as_document(self) -> Document:
        """As a file has it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def bounds(self, shape: str) -> dict[str, tuple[Bounds, bool]]:
        """Of each number that is looked for its bounds, and whether its logarithm is uniform."""
        space, number = self.space, len(blocks_of(shape))
        named: dict[str, tuple[Bounds | None, bool]] = {
            "learning rate": (space.learning_rate, True),
            "initial range": (space.init_range, True),
        }
        for kind in ("input", "output"):
            bias = getattr(space, f"{kind}_gate_bias")
            named |= {f"{kind} gate bias {j + 1}": (bias, False) for j in range(number)}
        return {name: (bounds, is_log) for name, (bounds, is_log) in named.items() if bounds}

    def recipe_of(self, values: Mapping[str, Any]) -> str:
        """The recipe that settings mean."""
        biases = lambda kind: [v for name, v in values.items() if name.startswith(f"{kind} gate")]
        own = shape_of(make_recipe(self.recipe).adapt(make_task(self.task)).architecture.blocks)
        departures = {
            "blocks": [] if values["blocks"] == own else list(blocks_of(values["blocks"])),
            "input-gate-bias": biases("input"),
            "output-gate-bias": biases("output"),
            "init-range": [values[name] for name in ("initial range",) if name in values],
            "rate": [values[name] for name in ("learning rate",) if name in values],
        }
        made = [f"{k}={','.join(map(str, v))}" for k, v in departures.items() if v]
        return make_recipe("+".join([self.recipe, *made])).name

    def settings_of(self, values: Mapping[str, Any]) -> Settings:
        """The settings as trials take them: what the recipe makes of the row's conditions."""
        recipe = make_recipe(self.recipe_of(values))
        return as_settings(recipe.adapt(make_task(self.task)).hyperparameters)

    def loop(self, shape: str) -> TrainingLoop:
        """What trials with this shape of blocks learn, whatever their settings.

        Raises:
          ValueError: if the recipe decides what is looked for.
        """
        some = {
            name: rounded(bounds[0], bounds) for name, (bounds, _) in self.bounds(shape).items()
        }
        setup: Setup = make_recipe(self.recipe_of({"blocks": shape} | some)).setup(
            make_task(self.task)
        )
        setup = setup.with_task(max_sequences=self.max_sequences)
        method = learn_by_settings(setup, SettingsLearning)
        return TrainingLoop(setup.task, method, chunk_of(setup.task))

    def command(self, values: Mapping[str, Any], devices: int, out: str) -> list[str]:
        """The command that runs the trials with these settings again."""
        module = next(COMMANDS[self.task[:n]] for n in (2, 1) if self.task[:n] in COMMANDS)
        flags = {
            "task": self.task,
            "recipe": self.recipe_of(values),
            "trials": self.trials,
            "seed": self.seed,
            "max_sequences": self.max_sequences,
            "devices": devices,
            "batch_size": self.batch_size,
            "out": out,
        }
        told = [f"--{name}={value}" for name, value in flags.items()]
        return ["python", "-m", f"experiments.{module}", *told]


def rounded(value: float, bounds: Bounds) -> float:
    """To a few digits, within bounds: what is run is what a command can say.

    >>> rounded(0.123456, (0.1, 10.0)), rounded(-1.23456, (-1.2, 0.0)), rounded(0.0, (0.0, 1.0))
    (0.123, -1.2, 0.0)
    """
    digits = DIGITS - 1 - math.floor(math.log10(abs(value))) if value else 0
    return min(max(round(value, digits), bounds[0]), bounds[1])
