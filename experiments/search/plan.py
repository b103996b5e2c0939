"""The plan of a search: a row, a recipe, and the space in which hyperparameters are searched.

A configuration is a dictionary such as {"blocks": "2x2", "learning rate": 0.5}. It stands for a
recipe, which every command that runs the row accepts.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping

from experiments.cli.command import FlagValues
from experiments.rows.run import RowOptions, resolve
from lstm_jax import Task, TrainingLoop, make_recipe, make_task
from lstm_jax.network.files import Document
from lstm_jax.training.update_rules.random_search import Bounds, RandomSearchUpdate, SearchSpace

TEST_SIZE = 256  # sequences of a trial's final test
TPE_TRIALS, TPE_BATCH_SIZE = 8, 4
RANDOM_SEQUENCES = 5_000

# The name of each field of the space in configurations; with hyphens, it is also an override.
NAMES = {
    "learning_rate": "learning rate",
    "init_range": "initial range",
    "input_gate_bias": "input gate bias",
    "output_gate_bias": "output gate bias",
}


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """All that decides the numbers of a search, except the number of configurations."""

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
            raise ValueError(f"--blocks or one of --{', --'.join(NAMES)} must leave a choice")
        if _task_of(self.task, self.recipe).hyperparameters.update_after == "step":
            raise ValueError("a search needs updates after sequences, got update=step")

    def document(self) -> Document:
        """Return the plan as a file has it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def label(self, shape: str | None = None) -> str:
        """Return the name of the result's files, with the shape of a random search."""
        recipe = None if self.recipe == "paper" else self.recipe.replace(",", "_")
        return ".".join(filter(None, ("search", self.task, recipe, shape)))

    def bounds(self, shape: str) -> dict[str, Bounds]:
        """Return the bounds of each number searched; gate biases have one for each block."""
        found: dict[str, Bounds] = {}
        for field, name in NAMES.items():
            bounds = getattr(self.space, field)
            if bounds is not None and field.endswith("bias"):
                found |= {f"{name} {j + 1}": bounds for j in range(len(block_sizes(shape)))}
            elif bounds is not None:
                found[name] = bounds
        return found

    def loop(self, configuration: Mapping[str, object]) -> TrainingLoop:
        """Return the training loop of a configuration's trials.

        Of {"blocks": shape} alone, each trial draws the numbers from the space.
        """
        task = _task_of(self.task, self.recipe_of(configuration))
        task = dataclasses.replace(task, max_sequences=self.max_sequences, test_size=TEST_SIZE)
        if len(configuration) > 1:
            return TrainingLoop(task)
        return TrainingLoop(task, RandomSearchUpdate(task, space=self.space))

    def recipe_of(self, configuration: Mapping[str, object]) -> str:
        """Return the recipe that a configuration stands for."""
        shape = str(configuration["blocks"])
        is_same = shape == _task_shape(self.task, self.recipe)
        values = {"blocks": [] if is_same else block_sizes(shape)}
        for field, name in NAMES.items():
            found = [value for key, value in configuration.items() if key.startswith(name)]
            values[field.replace("_", "-")] = found
        overrides = [f"{name}={','.join(map(str, v))}" for name, v in values.items() if v]
        return make_recipe("+".join([self.recipe, *overrides])).name

    def command(self, configuration: Mapping[str, object], out: pathlib.Path) -> str:
        """Return the command that runs the trials of a configuration again."""
        names = ("trials", "seed", "max_sequences", "batch_size")
        options = {name: getattr(self, name) for name in names}
        return resolve(self.task, RowOptions(out, self.recipe_of(configuration), **options)).command


def block_sizes(shape: str) -> tuple[int, ...]:
    """Return the number of cells of each block, of 3x2, say, (2, 2, 2)."""
    number, size = map(int, shape.split("x"))
    return (size,) * number


def _task_shape(row: str, recipe: str) -> str:
    blocks = _task_of(row, recipe).architecture.blocks
    if len(set(blocks)) > 1:
        raise ValueError(f"--recipe must have blocks of one size in a search, got {recipe}")
    return f"{len(blocks)}x{blocks[0]}"


def _task_of(row: str, recipe: str) -> Task:
    return make_recipe(recipe).apply(make_task(row))


def make_plan(values: FlagValues) -> SearchPlan:
    """Return the plan of the flags."""
    task, is_tpe = make_task(values.task), values.sampler == "tpe"
    budget = int(task.published.mean_sequences or task.max_sequences)
    has_batch_size = values["batch_size"].present or not is_tpe
    return SearchPlan(
        task=values.task,
        recipe=make_recipe(values.recipe).name,
        shapes=_shapes(values),
        space=_space(values),
        trials=values.trials or (TPE_TRIALS if is_tpe else task.trials),
        seed=values.seed,
        max_sequences=values.max_sequences or (budget if is_tpe else RANDOM_SEQUENCES),
        batch_size=values.batch_size if has_batch_size else TPE_BATCH_SIZE,
    )


def _space(values: FlagValues) -> SearchSpace:
    """Return the space of the flags, without what the recipe sets or the row lacks."""
    task, changed = make_task(values.task), _task_of(values.task, values.recipe)
    net, found = changed.architecture, {}
    for field, name in NAMES.items():
        gate, reason, texts = name.removesuffix(" gate bias"), None, getattr(values, field)
        if getattr(changed.hyperparameters, field) != getattr(task.hyperparameters, field):
            reason = f"with --recipe={values.recipe}, which sets the {name}"
        elif gate != name and not (f"{gate}_gate" in net.biased and getattr(net, f"{gate}_gates")):
            reason = f"for {values.task}, whose {gate} gates have no biases"
        if reason and values[field].present and texts != ["own"]:
            raise ValueError(f"--{field} must be 'own' {reason}, got {','.join(texts)!r}")
        try:
            found[field] = None if reason or texts == ["own"] else tuple(map(float, texts))
        except ValueError:
            got = ",".join(texts)
            raise ValueError(f"--{field} must be LOWEST,HIGHEST or 'own', got {got!r}") from None
    return SearchSpace(**found)


def _shapes(values: FlagValues) -> tuple[str, ...]:
    own = _task_shape(values.task, values.recipe)
    shapes = tuple(own if shape == "own" else shape for shape in values.blocks)
    wrong = [s for s in shapes if not re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", s)]
    if wrong or not shapes:
        got = repr(wrong[0]) if wrong else "none"
        raise ValueError(f"--blocks must be shapes such as 2x2, or 'own', got {got}")
    if len(set(shapes)) < len(shapes):
        raise ValueError(f"--blocks must be distinct, got {','.join(shapes)}")
    return shapes
