"""Task 1: how long a solved network stays right when training goes on.

A trial of task 1 is solved at the first test without a wrong string among all 512. Where tests are
frequent, that may be one lucky look out of thousands. So each interpretation of the ablations is
run again with a test every 500 strings, by a rate that is halved after every 200 strings with at
most two wrong ones, and by Adam; and all of them train on after success.
"""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.claims.base import ClaimOptions, name_lines
from lstm_jax import TrainingLoop, TrialResult, TrialRunner, apply, make_recipe, make_task
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.task import StreamRule, TestRule
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.training_loop import DATA

# The interpretations of experiments/results/ablations, without the interval of their tests.
RECIPES = {
    "1-1": "paper+tolerance=0.35+h=identity",
    "1-2": "paper+targets=0.1,0.9+h=identity",
    "1-3": "paper+tolerance=0.35+h=identity",
    "1-4": "paper+tolerance=0.4+h=identity",
    "1-5": "paper+tolerance=0.35+h=identity",
}
BUDGET = 5  # times the published number of sequences
LATER = 1_000  # strings after success
ADAM = "adam-swapped"  # by Adam at a rate that falls with the updates
STREAK, FEW = 200, 2  # strings, and the most wrong ones of them, after which a rate falls


class Training(NamedTuple):
    """A row, its recipe, the strings between two tests, and whether the rate falls."""

    row: str
    recipe: str
    interval: int
    falling: bool = False


def variants() -> dict[str, Training]:
    """Train on after success in task 1: are the networks right 1,000 strings later?"""
    found = {}
    for row, recipe in RECIPES.items():
        often = 50 if row == "1-4" else 10
        found |= {
            f"{row}, a test every {often}": Training(row, recipe, often),
            f"{row}, a test every 500": Training(row, recipe, 500),
            f"{row}, falling rate": Training(row, recipe, STREAK, falling=True),
            f"{row}, {ADAM}": Training(row, ADAM, 500),
        }
    return found


def measure(training: Training, options: ClaimOptions) -> Document:
    """Train until success, and `LATER` strings more.

    Returns:
      For each trial `solved`, the strings until success, None without; and `later`, the wrong ones
      of all 512 strings after `LATER` more, None likewise. `still_right` counts the trials without.
      `errors`, at success: the absolute error of a step, summed over the outputs, at forks of the
      grammar and at other steps, [2], as it is and with what the loss leaves out, [2, 2].
    """
    if training.falling:
        solved, errors = _falling_successes(training, options), []
    else:
        rule = TestRule(training.interval, size=512)
        runner = TrialRunner(_loop(training, rule), range(options.trials), seed=options.seed)
        results = runner.run()
        solved = [result.sequences if result.solved else None for result in results]
        errors = [_errors(training, r, options.seed) for r in results if r.solved]
    later = _wrong_later(training, solved, options)
    return {
        "solved": solved,
        "later": later,
        "still_right": sum(wrong == 0 for wrong in later),
        "errors": np.round(np.mean(errors, axis=0), 4).tolist() if errors else None,
        "published": make_task(training.row).published.mean_sequences,
    }


def _errors(training: Training, result: TrialResult, seed: int) -> np.ndarray:
    """Return the `errors` of one network."""
    task = _loop(training).task
    assert task.prepare is not None and task.test_set is not None
    data = task.prepare(jax.random.fold_in(jax.random.key(seed), DATA), result.index)
    strings = task.test_set(data)
    run = lambda inputs: apply(task.architecture, result.model.parameters, inputs)[0]
    outputs = jax.jit(jax.vmap(run))(strings.inputs)
    errors = np.abs(np.asarray(strings.targets - outputs))
    taught = np.where(errors < _tolerance(training.recipe), 0, errors)
    is_real = np.arange(errors.shape[1]) < np.asarray(strings.length)[:, None]
    is_fork = np.asarray(strings.legal).sum(-1) > 1
    places = (is_real & is_fork, is_real & ~is_fork)
    return np.array([[e.sum(-1)[at].mean() for at in places] for e in (errors, taught)])


def _tolerance(recipe: str) -> float:
    """Return the largest error that has no loss."""
    found = re.search(r"tolerance=([\d.]+)", recipe)
    return float(found[1]) if found else 0.0


def _loop(training: Training, rule: TestRule | None = None) -> TrainingLoop:
    """Return the loop of a row, without a stopping rule by default."""
    task = make_recipe(training.recipe).apply(make_task(training.row))
    budget = int(BUDGET * (task.published.mean_sequences or 0)) + LATER
    never = StreamRule(window=budget + 1)
    task = dataclasses.replace(task, rule=rule or never, max_sequences=budget)
    return TrainingLoop(task, chunk=training.interval)


def _falling_successes(training: Training, options: ClaimOptions) -> list[int | None]:
    runner = _runner(training, options)
    solved: list[int | None] = [None] * options.trials
    while None in solved and not runner.finished:
        _run_chunk(training, runner)
        tests = [result.test_wrong for result in runner.results()]
        for trial, wrong in enumerate(tests):
            if wrong == 0 and solved[trial] is None:
                solved[trial] = runner.num_sequences
    return solved


def _wrong_later(
    training: Training, solved: list[int | None], options: ClaimOptions
) -> list[int | None]:
    runner = _runner(training, options)
    later: list[int | None] = [None] * len(solved)
    looks = {n + LATER for n in solved if n is not None}
    while looks:
        _run_chunk(training, runner)
        if runner.num_sequences in looks:
            looks.remove(runner.num_sequences)
            for trial, result in enumerate(runner.results()):
                if solved[trial] == runner.num_sequences - LATER:
                    later[trial] = result.test_wrong
    return later


def _runner(training: Training, options: ClaimOptions) -> TrialRunner:
    return TrialRunner(_loop(training), range(options.trials), seed=options.seed)


def _run_chunk(training: Training, runner: TrialRunner) -> None:
    """Run a chunk; halve the rate of trials with few wrong strings in it, if rates fall."""
    runner.run_chunk()
    if not training.falling or runner.finished:
        return
    state = runner.state()
    trials, model = state.trials, state.trials.model
    rate = learning_rates(state)
    rate = np.where(state.metrics.wrong[-1] <= FEW, rate / 2, rate).astype(np.float32)
    optimiser_state = optax.tree_utils.tree_set(model.optimiser_state, learning_rate=rate)
    model = model._replace(optimiser_state=optimiser_state)
    runner.restore(state._replace(trials=trials._replace(model=model)))


def learning_rates(state: RunState) -> np.ndarray:
    """Return the learning rate of every trial, [R]."""
    model = state.trials.model
    return np.asarray(optax.tree_utils.tree_get(model.optimiser_state, "learning_rate"))


def draw(document: Document) -> style.Figure:
    """Draw the wrong strings of every solved trial, a line per variant."""
    variants = document["variants"]
    figure, (axes,) = style.new_figure(9, 1.5 + 0.32 * len(variants))
    lines = []
    for y, (label, found) in enumerate(variants.items()):
        wrong = np.array([w for w in found["later"] if w is not None], float)
        offsets = np.linspace(-0.3, 0.3, len(wrong))
        axes.plot(np.maximum(wrong, 0.5), y + offsets, "o", color=style.OURS, alpha=0.4, ms=4)
        lines.append(f"{label}: {found['still_right']} of {len(wrong)} still right")
    name_lines(axes, lines)
    axes.set_xticks([0.5, 1, 10, 100, 512], ["0", "1", "10", "100", "512"])
    axes.set_xlabel(f"wrong of all 512 strings, {LATER:,} strings after success")
    return figure
