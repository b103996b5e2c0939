"""What is tried: cells of a row, a recipe, a seed and a number of trials.

First, on seed 0 and with one wave of trials, `paper` and every departure by itself; then what the
singles suggest, together: for each row the combinations in `COMBINED`, and, if asked for, random
ones, from which main effects and interactions can be estimated. What is chosen there is confirmed
on seed 1 with as many trials as the paper made, and may be repeated on seed 2 with twice as many,
which decides nothing: it tells how sure the confirmation was. A departure that by itself solved no
trial is not tried by itself on the harder rows of the same task (`EASIER`).

A reading *works* if it is solved as often as published, but for one trial, and the mean number of
training sequences is within a factor of 2 of the published mean. More sequences than `BUDGET` times
that mean are not given to any trial: one that needs them counts as failed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lstm_jax.tasks import (
    Task,
    make_task,
    replace_architecture,
    replace_hyperparameters,
    row_names,
)
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.trials.training_loop import TrainingLoop

# Times the published mean.
BUDGET = 3
CONFIRMED_BUDGET = 5
FACTOR = 2.0

CHOICE_SEED, CONFIRMATION_SEED, REPETITION_SEED = 0, 1, 2
CHOICE_TRIALS = 8
REPETITION = 2  # times the paper's number of trials
MOST_DRAWN = 64  # random combinations of a row

# The last 10,000 sequences of 2a and 2b, all right in a row, are not in the published counts.
UNCOUNTED = {"2a": 10_000, "2b": 10_000}

# Departures of which each is tried by itself, and random combinations are made. Those in one line
# exclude each other.
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
SINGLES = tuple(departure for line in FACTORS for departure in line)

# Of rows of one task, which differ in length, lag, noise or criterion alone: the next easier one.
EASIER = {
    "2c-100-100": "2c-50-50",
    "2c-200-200": "2c-100-100",
    "2c-500-500": "2c-200-200",
    "2c-1000-1000": "2c-500-500",
    "2c-1000-500": "2c-1000-1000",
    "2c-1000-200": "2c-1000-500",
    "2c-1000-100": "2c-1000-200",
    "2c-1000-50": "2c-1000-100",
    "3a-100-1": "3a-100-3",
    "3a-1000-3": "3a-100-3",
    "3b-100-1": "3b-100-3",
    "3b-1000-1": "3b-100-1",
    "3c-100-1": "3c-100-3",
    "4-500": "4-100",
    "4-1000": "4-500",
    "5-13": "5-140",
}

# What else is tried on rows whose names begin so.
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
    """One run of some trials."""

    row: str
    """A row of the paper's tables."""
    recipe: str
    """The name of a recipe."""
    seed: int
    """Of all random numbers."""
    trials: int
    """How many."""
    budget: int
    """Training sequences after which a trial counts as failed."""

    @property
    def key(self) -> str:
        """What tells it from the other cells of its row."""
        return f"{self.recipe} seed={self.seed} trials={self.trials}"


def wanted(task: Task) -> int:
    """How many sequences the paper's trials took, by our count."""
    mean = task.published.mean_sequences
    assert mean is not None
    return int(mean) + UNCOUNTED.get(task.name, 0)


def choice(row: str, recipe: str) -> Cell:
    """A cell to choose from."""
    return _cell(row, recipe, CHOICE_SEED, CHOICE_TRIALS, BUDGET)


def confirmation(row: str, recipe: str) -> Cell:
    """The cell that confirms a choice."""
    return _cell(row, recipe, CONFIRMATION_SEED, make_task(row).trials, CONFIRMED_BUDGET)


def repetition(row: str, recipe: str) -> Cell:
    """The cell that tells how sure a confirmation was."""
    trials = REPETITION * make_task(row).trials
    return _cell(row, recipe, REPETITION_SEED, trials, CONFIRMED_BUDGET)


def _cell(row: str, recipe: str, seed: int, trials: int, budget: int) -> Cell:
    task, uncounted = make_task(row), UNCOUNTED.get(row, 0)
    sequences = uncounted + budget * (wanted(task) - uncounted)
    return Cell(row, make_recipe(recipe).name, seed, trials, sequences)


def singles(row: str) -> list[Cell]:
    """`paper` and each departure by itself, where it is one for the row."""
    return list(_possible(row, ("", *SINGLES)))


def combined(row: str) -> list[Cell]:
    """The combinations that are suggested for a row."""
    lists = [texts for start, texts in COMBINED.items() if row.startswith(start)]
    return list(_possible(row, (text for texts in lists for text in texts)))


def drawn(row: str, count: int) -> Iterator[Cell]:
    """Of `count` random combinations, those that the row can have, one after the other."""
    return _possible(row, _drawn_texts(row, count))


def _drawn_texts(row: str, count: int) -> Iterator[str]:
    """Random combinations: of each line of `FACTORS`, nothing with odds 2 in 3."""
    generator = random.Random(row)
    for _ in range(count):
        lines = [line for line in FACTORS if generator.random() < 1 / 3]
        yield "+".join(generator.choice(line) for line in lines)


def _possible(row: str, texts: Iterable[str]) -> Iterator[Cell]:
    """The cells of departures that the row can have, of those that come to the same the first."""
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
    """Writes equal tasks equally: biased units by type; nothing is added where there is no bias."""
    hyperparameters, biased = task.hyperparameters, tuple(sorted({*task.architecture.biased}))
    gates = ("input_gate_bias", "output_gate_bias", "forget_gate_bias")
    is_added = hyperparameters.add_gate_bias and any(
        getattr(hyperparameters, gate) is not None for gate in gates
    )
    task = replace_hyperparameters(task, add_gate_bias=is_added)
    return replace_architecture(task, biases=biased)


def is_solved_often_enough(task: Task, solved: int, trials: int) -> bool:
    """As often as published, but for one trial."""
    rate = task.published.success_rate
    return solved >= (100.0 if rate is None else rate) / 100 * trials - 1 and solved > 0


def ratio(task: Task, mean: float | None) -> float | None:
    """A mean number of sequences, to the published one."""
    if mean is None:
        return None
    uncounted = UNCOUNTED.get(task.name, 0)
    return (mean - uncounted) / (wanted(task) - uncounted)


def select(names: str) -> list[str]:
    """Rows by name, with commas between; 'all'.

    Raises:
      ValueError: if there is no such row.
    """
    rows = list(row_names()) if names == "all" else names.split(",")
    for row in rows:
        make_task(row)
    return rows
