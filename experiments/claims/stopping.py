"""Stopping rules: which one gives the published count and the published number of wrong sequences?

The rules of tasks 3 to 5 leave open how often the paper tested, and whether one success was enough.
Trials that go on without a rule show what any of them would have found: at every look the rule's
test, and now and then the number of wrong sequences among 2,560 fresh ones. A look is a test of 256
fresh sequences in task 3, and the last 2,000 training sequences in tasks 4 and 5, as in the paper.
The rule that fits best is chosen on the even trials; what is reported is of the odd ones.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import ClaimOptions, repeat
from experiments.rows.intervals import mean_interval, share_interval
from lstm_jax import Task, TrainingLoop, TrialRunner, make_recipe, make_task
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.task import StreamRule, TestRule
from lstm_jax.training.update_rules.per_sequence import Model

ADDING = "paper+linear-output+input-gate-bias=-5+init-range-factor=8"
INTERVALS, PASSES = (1, 2, 5, 10), (1, 2, 3, 5, 10)  # looks between tests; successes in a row
FACTOR = 2.0  # of a number that fits
LEAST_STOPPED = 0.8  # share of trials that a rule stops, otherwise it does not count


class Looks(NamedTuple):
    """How a row is looked at.

    Attributes:
      recipe: that it is trained by.
      interval: training sequences between two looks.
      every: looks between two counts of the wrong ones among fresh sequences.
      budget: training sequences, in times the published number.
      rows: that have the same trials, and differ in their rules.
    """

    recipe: str
    interval: int
    every: int
    budget: int
    rows: tuple[str, ...]


LOOKS = (
    Looks("paper", 1_000, 2, 4, ("3a-100-3",)),
    Looks("paper", 1_000, 2, 4, ("3a-100-1",)),
    Looks("paper", 1_000, 2, 4, ("3b-100-3",)),
    Looks("paper", 1_000, 2, 4, ("3b-100-1",)),
    Looks("paper", 5_000, 2, 2, ("3c-100-3",)),
    Looks("paper+linear-output", 2_000, 2, 2, ("4-100",)),
    Looks(ADDING, 2_000, 20, 2, ("5-140",)),
)


def variants() -> dict[str, Looks]:
    """Find the stopping rules that give both the published counts and the wrong sequences."""
    return {f"{' and '.join(looks.rows)}, {looks.recipe}": looks for looks in LOOKS}


def look(looks: Looks, options: ClaimOptions) -> Document:
    """Train without a rule, to some times the published number of sequences.

    Returns:
      The fields of `looks`; `test_wrong` and `test_error` of every look, and `wrong`, of 2,560
      fresh sequences, of every `every`-th look, [.., R] each.
    """
    period = looks.interval * looks.every
    task = task_without_rule(looks, -(-_budget(looks) // period) * period)
    loop = TrainingLoop(task, chunk=looks.interval)
    trials, rule = options.trials, make_task(looks.rows[-1]).rule
    runner = TrialRunner(loop, range(trials), seed=options.seed, batch_size=trials)
    tests, wrong = [], []
    while not runner.finished:
        runner.run_chunk()
        if isinstance(rule, TestRule):
            tests.append(_test(loop, runner, rule.size, options))
        if runner.num_sequences % period == 0:
            wrong.append([result.test_wrong for result in runner.results()])
    if not tests:
        curves = np.stack([curve[:, 1:] for curve in runner.curves()], 1)  # [L, R, 2]
        tests = [(np.rint(c[:, 1] * looks.interval).astype(int), c[:, 0]) for c in curves]
    return looks._asdict() | {
        "test_wrong": [found.tolist() for found, _ in tests],
        "test_error": [np.round(error, 5).tolist() for _, error in tests],
        "wrong": wrong,
    }


def _budget(looks: Looks) -> int:
    return looks.budget * int(make_task(looks.rows[-1]).published.mean_sequences or 0)


def task_without_rule(looks: Looks, max_sequences: int) -> Task:
    """Return the task of the last of the rows, whose trials never end before `max_sequences`."""
    return dataclasses.replace(
        make_recipe(looks.recipe).apply(make_task(looks.rows[-1])),
        rule=StreamRule(window=max_sequences + 1),
        first_rule=None,
        max_sequences=max_sequences,
    )


def _test(
    loop: TrainingLoop, runner: TrialRunner, size: int, options: ClaimOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return wrong ones and mean error of every trial on the same fresh sequences, [R] each."""
    key = jax.random.fold_in(jax.random.key(options.seed), runner.num_sequences)
    found = _judge(loop, options.trials, runner.state().trials.model, jax.random.split(key, size))
    return np.asarray(found[0]).sum(0), np.asarray(found[1]).mean(0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _judge(
    loop: TrainingLoop, trials: int, model: Model, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def judge(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        example = loop.task.sample(key, None)
        outputs = loop.update_rule.outputs(model, repeat(example, trials))
        is_correct = jax.vmap(loop.task.is_correct, in_axes=(-1, None))(outputs, example)
        return ~is_correct, jnp.abs(outputs - example.true_targets[:, None]).mean(0)

    return jax.lax.map(judge, keys)


# Rules -------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """A stopping rule: `passes` successes in a row of tests every `interval` looks."""

    interval: int
    passes: int


class Found(NamedTuple):
    """What a rule finds in some trials.

    Attributes:
      solved: the number of trials that it stops, of `trials`.
      sequences: [solved], after which it stops them.
      wrong: [solved], of 2,560 fresh sequences at the next count.
    """

    trials: int
    sequences: np.ndarray
    wrong: np.ndarray


def apply_rule(row: str, found: Document, rule: Rule, trials: slice) -> Found:
    """Stop trials of a document by a rule."""
    task = make_task(row)
    is_met = np.array(found["test_wrong"])[:, trials] <= task.rule.max_wrong
    if task.rule.mean_error is not None:
        is_met &= np.array(found["test_error"])[:, trials] < task.rule.mean_error
    is_met = is_met[rule.interval - 1 :: rule.interval]
    wrong = np.array(found["wrong"])[:, trials]
    counts, wrongs = [], []
    for trial, met in enumerate(is_met.T):
        in_a_row = np.convolve(met, np.ones(rule.passes), "valid") == rule.passes
        if in_a_row.any():
            looks = (int(in_a_row.argmax()) + rule.passes) * rule.interval
            counts.append(looks * found["interval"])
            at = min(-(-looks // found["every"]), len(wrong)) - 1
            wrongs.append(wrong[at, trial])
    return Found(is_met.shape[1], np.array(counts), np.array(wrongs))


def published_wrong(task: Task) -> float:
    """Return the published number of wrong sequences among 2,560."""
    published = task.published
    if published.test_wrong is not None:
        return published.test_wrong
    return 2560 * (published.test_fraction or 0.0)


def misfit(row: str, found: Found) -> float:
    """Return the larger of the factors by which count and wrong ones miss the published numbers.

    One wrong sequence is added to both sides, so that none is a number like others.
    """
    if len(found.sequences) < LEAST_STOPPED * found.trials:
        return math.inf
    task = make_task(row)
    count = found.sequences.mean() / (task.published.mean_sequences or math.nan)
    wrong = (found.wrong.mean() + 1) / (published_wrong(task) + 1)
    return float(np.exp(max(abs(math.log(count)), abs(math.log(wrong)))))


def best_rule(row: str, found: Document) -> Rule:
    """Return the rule that fits best on the even trials."""
    rules = itertools.starmap(Rule, itertools.product(INTERVALS, PASSES))
    return min(rules, key=lambda rule: misfit(row, apply_rule(row, found, rule, slice(0, None, 2))))


def table(document: Document) -> Iterator[list[str]]:
    """Yield a line per row: the rule that fits best, and what it finds on the odd trials."""
    for found in document["variants"].values():
        for row in found["rows"]:
            rule, published = best_rule(row, found), make_task(row).published.mean_sequences
            for which in (Rule(1, 1), rule) if rule != Rule(1, 1) else (rule,):
                on_odd = apply_rule(row, found, which, slice(1, None, 2))
                low, high = (
                    f"{100 * x:.0f}" for x in share_interval(len(on_odd.wrong), on_odd.trials)
                )
                yield [
                    row,
                    f"`{found['recipe']}`",
                    f"every {which.interval * found['interval']:,}, {which.passes} in a row",
                    f"{len(on_odd.wrong)} of {on_odd.trials} ({low} to {high} %)",
                    f"{published:,.0f}",
                    _with_interval(on_odd.sequences, 0),
                    f"{published_wrong(make_task(row)):.3g}",
                    _with_interval(on_odd.wrong, 1),
                    "yes" if misfit(row, on_odd) <= FACTOR else "no",
                ]


def _with_interval(values: np.ndarray, digits: int) -> str:
    if not len(values):
        return "-"
    interval = mean_interval(values)
    spread = f" ({interval[0]:,.{digits}f} to {interval[1]:,.{digits}f})" if interval else ""
    return f"{values.mean():,.{digits}f}{spread}"


def draw(document: Document) -> style.Figure:
    """Draw the wrong ones against the sequences, and the paper's point, a panel per variant."""
    variants = document["variants"]
    columns = 3
    figure, panels = style.new_figure(
        12, 2.8 * -(-len(variants) // columns), -(-len(variants) // columns), columns
    )
    for axes, (label, found) in zip(panels, variants.items(), strict=False):
        wrong = np.maximum(np.array(found["wrong"], float), 0.3)
        steps = found["interval"] * found["every"] * np.arange(1, len(wrong) + 1)
        axes.plot(steps, wrong, color=style.GREY, lw=0.6)
        axes.plot(steps, np.median(wrong, axis=1), color=style.OURS, lw=2)
        for row in found["rows"]:
            task = make_task(row)
            mean, wrong = task.published.mean_sequences or 0, max(published_wrong(task), 0.3)
            axes.plot(mean, wrong, "D", color=style.PAPER, zorder=3)
        axes.set(yscale="log", ylim=(0.25, 3000))
        axes.set_title(label.replace(", paper", "\npaper"), fontsize=8)
        style.format_counts(axes)
    for axes in panels[len(variants) :]:
        axes.set_visible(False)
    panels[0].plot([], [], color=style.OURS, lw=2, label="median trial")
    panels[0].plot([], [], color=style.GREY, lw=0.6, label="a trial")
    panels[0].plot([], [], "D", color=style.PAPER, label="published")
    figure.supxlabel("training sequences", fontsize=9)
    figure.supylabel("wrong of 2,560 fresh sequences (0 at the bottom)", fontsize=9)
    style.add_legend(figure, ncols=3, loc="outside upper center")
    return figure
