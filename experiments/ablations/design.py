"""The design of the ablation study: cells of a row, a recipe, a seed and a number of trials.

An interpretation is chosen on seed 0, confirmed on seed 1, and perhaps repeated on seed 2, which
decides nothing. What the page says of it is estimated on seed 12, which neither chose nor
confirmed. The page in experiments/results/ablations says what is reproduced, and what is ruled out.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from lstm_jax import TrainingLoop, make_recipe
from lstm_jax.network.files import Document
from lstm_jax.tasks import Task, make_task, replace_architecture, replace_hyperparameters
from lstm_jax.tasks.very_long_lags import ROWS as VERY_LONG_LAGS

# A trial that needs more sequences than this multiple of the published mean counts as failed.
BUDGET = 3
CONFIRMED_BUDGET = 5
FACTOR = 2.0  # largest ratio of our mean number of sequences to the published one, or its inverse

CHOICE_SEED, CONFIRMATION_SEED, REPETITION_SEED, ESTIMATION_SEED = 0, 1, 2, 12
CHOICE_TRIALS = 8
REPETITION = 2  # times the paper's number of trials
ESTIMATION, LONG_ESTIMATION = 4, 2  # times that number; of rows that take hours
MOST_DRAWN = 64  # random combinations per row

# The published counts of 2a and 2b exclude the last 10,000 sequences, which are all correct.
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

# Rows of which the paper's number of trials takes a quarter of an hour or more.
LONG = {"2c-1000-200", "2c-1000-100", "2c-1000-50", "3b-1000-1", "4-1000"}

Outcome = Document  # of a cell, as its row's file has it


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


def published_sequences(row: str) -> int:
    """Return the published mean number of sequences, with those that it excludes."""
    mean = make_task(row).published.mean_sequences
    assert mean is not None
    return int(mean) + UNCOUNTED.get(row, 0)


def ratio(row: str, mean: float | None) -> float | None:
    """Return the ratio of a mean number of sequences to the published one."""
    uncounted = UNCOUNTED.get(row, 0)
    published = published_sequences(row) - uncounted
    return None if mean is None else (mean - uncounted) / published


def make_cell(row: str, recipe: str, seed: int = CHOICE_SEED) -> Cell:
    """Return the cell of a recipe on the seed that chooses, confirms or repeats."""
    trials, budget, uncounted = make_task(row).trials, CONFIRMED_BUDGET, UNCOUNTED.get(row, 0)
    if seed == CHOICE_SEED:
        trials, budget = CHOICE_TRIALS, BUDGET
    elif seed == REPETITION_SEED:
        trials *= REPETITION
    elif seed == ESTIMATION_SEED:
        trials *= LONG_ESTIMATION if row in LONG else ESTIMATION
    sequences = uncounted + budget * (published_sequences(row) - uncounted)
    return Cell(row, make_recipe(recipe).name, seed, trials, sequences)


def singles(row: str) -> list[Cell]:
    """Return the cells of `paper` and of each override alone, as far as the row allows it."""
    return list(_distinct_cells(row, ("", *SINGLES)))


def drawn(row: str, count: int) -> Iterator[Cell]:
    """Draw `count` random combinations, and yield the cells of those that the row allows."""
    generator, texts = random.Random(row), []
    for _ in range(count):
        lines = [line for line in FACTORS if generator.random() < 1 / 3]
        texts.append("+".join(map(generator.choice, lines)))
    return _distinct_cells(row, texts)


def _distinct_cells(row: str, texts: Iterable[str]) -> Iterator[Cell]:
    """Yield a cell for each distinct change among the overrides that the row allows."""
    task = make_task(row)
    printed = _normalised(task)
    known: list[Task] = []
    for text in texts:
        try:
            cell = make_cell(row, f"paper+{text}" if text else "paper")
            changed = make_recipe(cell.recipe).apply(task)
            TrainingLoop(changed)
        except ValueError:
            continue
        changed = _normalised(changed)
        if changed not in known and not (text and changed == printed):
            known.append(changed)
            yield cell


def _normalised(task: Task) -> Task:
    """Return the task in a form in which tasks that train alike are equal."""
    found = task.hyperparameters
    biases = found.input_gate_bias, found.output_gate_bias, found.forget_gate_bias
    is_added = found.add_gate_bias and any(bias is not None for bias in biases)
    task = replace_hyperparameters(task, add_gate_bias=is_added)
    return replace_architecture(task, biases=tuple(sorted({*task.architecture.biased})))


# Choices ------------------------------------------------------------------------------------------


def fits(row: str, outcome: Outcome) -> bool:
    """Return whether a cell is solved as often and as fast as published, within the tolerances."""
    times, rate = ratio(row, outcome["mean"]), make_task(row).published.success_rate
    if times is None or not 1 / FACTOR <= times <= FACTOR:
        return False
    return outcome["solved"] >= (100.0 if rate is None else rate) / 100 * outcome["trials"] - 1


def is_confirmed(row: str, outcome: Outcome) -> bool:
    """Return whether the trials are of a fresh seed or, for `paper`, in full number."""
    in_full = outcome["trials"] == make_task(row).trials
    return outcome["seed"] == CONFIRMATION_SEED or (outcome["recipe"] == "paper" and in_full)


def rank(row: str, outcome: Outcome) -> tuple:
    """Return the sort key: fits, few overrides, confirmed, solved often, near the mean."""
    times = ratio(row, outcome["mean"]) or 1e9
    is_good = fits(row, outcome)
    overrides = outcome["recipe"].count("+") if is_good else 0
    share = outcome["solved"] / outcome["trials"]
    return not is_good, overrides, not is_confirmed(row, outcome), -share, max(times, 1 / times)


def best(row: str, outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the smallest interpretation that fits, or otherwise the one solved most often."""
    solved = (outcome for outcome in outcomes if outcome["solved"])
    return min(solved, key=lambda outcome: rank(row, outcome), default=None)


def is_ruled_out(row: str, recipe: str, outcomes_of: Callable[[str], list[Outcome]]) -> bool:
    """Return whether a recipe solved no trial of the nearest easier row that it was run on."""
    while row := EASIER.get(row, ""):
        known = find(make_cell(row, recipe), outcomes_of(row))
        if known is not None:
            return not known["solved"]
    return False


def drawn_outcomes(row: str, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes of the row's random combinations up to the first that was not run."""
    found: list[Outcome] = []
    for cell in drawn(row, MOST_DRAWN):
        if (outcome := find(cell, outcomes)) is None:
            break
        found.append(outcome)
    return found


def find(cell: Cell, outcomes: list[Outcome]) -> Outcome | None:
    """Return the outcome of a cell, if it was run."""
    wanted = {"recipe": cell.recipe, "seed": cell.seed, "trials": cell.trials}
    return next((outcome for outcome in outcomes if wanted.items() <= outcome.items()), None)
