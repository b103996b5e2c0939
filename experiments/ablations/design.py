"""The design of the ablation study: cells of a row, a recipe, a seed and a number of trials.

1. On seed 0 with 8 trials, `paper` and every override alone are run, then the combinations in
   `COMBINED` and, on request, random combinations, from which effects are estimated.
2. The interpretation chosen from these is confirmed on seed 1 with the paper's number of trials.
3. It may be repeated on seed 2 with twice as many trials, which shows how certain the confirmation
   is and decides nothing.

An override that alone solved no trial is not tried alone on harder rows of its task (`EASIER`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lstm_jax.tasks import (
    Task,
    make_task,
    replace_architecture,
    replace_hyperparameters,
)
from lstm_jax.tasks.very_long_lags import ROWS as VERY_LONG_LAGS
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop

# A trial that needs more sequences than this multiple of the published mean counts as failed.
BUDGET = 3
CONFIRMED_BUDGET = 5
FACTOR = 2.0  # largest ratio of our mean number of sequences to the published one, or its inverse

CHOICE_SEED, CONFIRMATION_SEED, REPETITION_SEED = 0, 1, 2
CHOICE_TRIALS = 8
REPETITION = 2  # times the paper's number of trials
MOST_DRAWN = 64  # random combinations per row

# The published counts of 2a and 2b leave out the last 10,000 sequences, in a row without a mistake.
UNCOUNTED = {"2a": 10_000, "2b": 10_000}

# Overrides that are tried alone and in random combinations. Those in one line exclude each other.
FACTORS = (
    ("linear-output", "cross-entropy", "derivative-offset=0.1"),
    ("h=identity", "h=centred_2"),
    ("g=centred_1",),
    ("biases=all", "extra-biases=output"),
    ("initial-activation=0.5",),
    ("input-gate-bias=-3,-6,-9,-12",),
    ("add-gate-bias",),
    ("recurrent=none", "recurrent=cells"),
    ("init-range-factor=3", "init-range-factor=8"),
    ("learning-rate-factor=0.5", "learning-rate-factor=2"),
    ("update=step", "update=next-first-step"),
    ("training-set=1000",),
    ("targets=0.1,0.9",),
    ("tolerance=0.1",),
)
SINGLES = tuple(override for line in FACTORS for override in line)

# Rows of one task that differ in length, lag, noise or criterion alone, from easy to hard.
_BY_DIFFICULTY = (
    tuple(VERY_LONG_LAGS),
    ("3a-100-3", "3a-100-1"),
    ("3a-100-3", "3a-1000-3"),
    ("3b-100-3", "3b-100-1", "3b-1000-1"),
    ("3c-100-3", "3c-100-1"),
    ("4-100", "4-500", "4-1000"),
    ("5-140", "5-13"),
)
# The next easier row.
EASIER = {harder: easier for rows in _BY_DIFFICULTY for easier, harder in itertools.pairwise(rows)}

# Further combinations, by the beginning of the row's name.
COMBINED = {
    "1-": (
        "h=identity+biases=all",
        "h=identity+biases=all+init-range-factor=3",
        "h=identity+biases=all+derivative-offset=0.1",
        "g=centred_1+h=identity+biases=all+input-gate-bias=-3+update=step",
        "h=identity+tolerance=0.3+test-interval=10",
        "h=identity+tolerance=0.35+test-interval=10",
        "h=identity+tolerance=0.4+test-interval=50",
        "h=identity+targets=0.1,0.9+test-interval=10",
    ),
    "2": ("g=centred_1+cross-entropy", "g=centred_1+cross-entropy+input-gate-bias=-2"),
    "2a": ("g=centred_1+tolerance=0.2+input-gate-bias=-3",),
    "2c": (
        "recurrent=none+init-range-factor=0.5",
        "recurrent=none+learning-rate-factor=2",
        "recurrent=none+linear-output",
    ),
    "3": ("init-range-factor=4", "init-range-factor=5"),
    "4": (
        "linear-output+h=identity",
        "linear-output+init-range-factor=3",
        "linear-output+init-range-factor=5",
        "linear-output+init-range-factor=8",
        "linear-output+init-range-factor=8+input-gate-bias=-5",
    ),
    "5": (
        "linear-output+input-gate-bias=-3,-6",
        "linear-output+input-gate-bias=-3,-6+init-range-factor=8",
    ),
    "6b": (
        "derivative-offset=0.1+init-range-factor=3",
        "derivative-offset=0.1+init-range-factor=8",
    ),
}


class Cell(NamedTuple):
    """One run of some trials of a row by a recipe."""

    row: str
    recipe: str
    seed: int
    trials: int
    budget: int  # training sequences after which a trial counts as failed

    @property
    def key(self) -> str:
        """The name of the cell in its row's file."""
        return f"{self.recipe} seed={self.seed} trials={self.trials}"


def published_sequences(task: Task) -> int:
    """Return the published mean number of sequences, by our way of counting."""
    mean = task.published.mean_sequences
    assert mean is not None
    return int(mean) + UNCOUNTED.get(task.name, 0)


def ratio(task: Task, mean: float | None) -> float | None:
    """Return the ratio of a mean number of sequences to the published one."""
    if mean is None:
        return None
    uncounted = UNCOUNTED.get(task.name, 0)
    return (mean - uncounted) / (published_sequences(task) - uncounted)


def choice(row: str, recipe: str) -> Cell:
    """Return a cell from which an interpretation may be chosen."""
    return _make_cell(row, recipe, CHOICE_SEED, CHOICE_TRIALS, BUDGET)


def confirmation(row: str, recipe: str) -> Cell:
    """Return the cell that confirms a choice."""
    trials = make_task(row).trials
    return _make_cell(row, recipe, CONFIRMATION_SEED, trials, CONFIRMED_BUDGET)


def repetition(row: str, recipe: str) -> Cell:
    """Return the cell that shows how certain a confirmation is."""
    trials = REPETITION * make_task(row).trials
    return _make_cell(row, recipe, REPETITION_SEED, trials, CONFIRMED_BUDGET)


def _make_cell(row: str, recipe: str, seed: int, trials: int, budget: int) -> Cell:
    uncounted = UNCOUNTED.get(row, 0)
    sequences = uncounted + budget * (published_sequences(make_task(row)) - uncounted)
    return Cell(row, make_recipe(recipe).name, seed, trials, sequences)


def singles(row: str) -> list[Cell]:
    """Return the cells of `paper` and of each override alone, as far as the row allows it."""
    return list(_distinct_cells(row, ("", *SINGLES)))


def combined(row: str) -> list[Cell]:
    """Return the cells of the combinations in `COMBINED`."""
    lists = [texts for start, texts in COMBINED.items() if row.startswith(start)]
    return list(_distinct_cells(row, (text for texts in lists for text in texts)))


def drawn(row: str, count: int) -> Iterator[Cell]:
    """Draw `count` random combinations, and yield the cells of those that the row allows."""
    generator = random.Random(row)
    texts = []
    for _ in range(count):
        lines = [line for line in FACTORS if generator.random() < 1 / 3]
        texts.append("+".join(generator.choice(line) for line in lines))
    return _distinct_cells(row, texts)


def _distinct_cells(row: str, texts: Iterable[str]) -> Iterator[Cell]:
    """Yield the cells of overrides that the row allows, and that change it, each change once."""
    task = make_task(row)
    printed = _normalised(task)
    known: list[Task] = []
    for text in texts:
        try:
            cell = choice(row, "+".join(filter(None, ("paper", text))))
            changed = make_recipe(cell.recipe).apply(task)
            TrainingLoop(changed)
        except ValueError:
            continue
        changed = _normalised(changed)
        is_idle = changed == printed and cell.recipe != "paper"
        if not is_idle and changed not in known:
            known.append(changed)
            yield cell


def _normalised(task: Task) -> Task:
    """Return the task in a form in which tasks that train alike are equal."""
    hyperparameters, biased = task.hyperparameters, tuple(sorted({*task.architecture.biased}))
    gates = ("input_gate_bias", "output_gate_bias", "forget_gate_bias")
    has_gate_bias = any(getattr(hyperparameters, gate) is not None for gate in gates)
    task = replace_hyperparameters(
        task, add_gate_bias=hyperparameters.add_gate_bias and has_gate_bias
    )
    return replace_architecture(task, biases=biased)
