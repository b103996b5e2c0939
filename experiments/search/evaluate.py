"""Tries configurations: the trials of each side by side, stopped where others did better.

All configurations of one shape of blocks are one compiled program, whose trials start anew with
other settings. A configuration is stopped by successive halving: where an eighth, a quarter and
half of the budget are used up, its error must not be above the median of all that came so far.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from lstm_jax.training.recipes.settings import SettingsLearning, start_trials

from experiments.search.plan import Plan, Values
from lstm_jax.network.files import Document
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import NON_FINITE, RUNNING, SOLVED

PARTS = 32  # of the budget; at the end of each an error is taken down
JUDGED = (4, 8, 16)  # the parts at whose end a configuration may be stopped
FEWEST = 4  # errors, its own with them, of which a median is worth something


class Bench:
    """Where the configurations of a plan are tried.

    Attributes:
      plan: what is tuned.
    """

    def __init__(self, plan: Plan, devices: Sequence[Any] | None = None) -> None:
        """Takes the plan, and the devices to share trials among; None: all."""
        self.plan = plan
        self._mesh = Mesh(np.array(devices or jax.devices()), ("trials",))
        self._start = functools.cache(self._make)

    def evaluate(
        self,
        values: Values,
        tried: Sequence[Mapping[str, Any]],
    ) -> Document:
        """Runs the trials of a configuration to their end, or until it is stopped.

        Args:
          values: its settings.
          tried: the configurations before it, from this function.

        Returns:
          Its `values`, `recipe`, `cost` (None: it was stopped), `solved` trials and their mean
          `sequences`, and `errors`: [part of the budget, sequences, mean training error] each.
        """
        runner, state, method = self._start(values["blocks"])
        runner.restore(start_trials(state, method, self.plan.settings_of(values)))
        budget, errors, is_stopped = self.plan.max_sequences, [], False
        while not (runner.finished or is_stopped):
            before = PARTS * runner.num_sequences // budget
            runner.run_chunk()
            part = PARTS * runner.num_sequences // budget
            if part > before or runner.finished:
                state = runner.state()
                errors.append([part, runner.num_sequences, float(np.mean(errors_of(state)))])
                is_judged = any(before < at <= part for at in JUDGED) and not runner.finished
                is_stopped = is_judged and is_worse(errors[-1], tried)
        state = runner.state()
        sequences = np.asarray(state.trials.ended_at)[state.trials.status == SOLVED]
        return {
            "values": values,
            "recipe": self.plan.recipe_of(values),
            "cost": None if is_stopped else cost_of(state, budget),
            "solved": len(sequences),
            "sequences": float(np.mean(sequences)) if len(sequences) else None,
            "errors": errors,
        }

    def _make(self, shape: str) -> tuple[TrialRunner, RunState, SettingsLearning]:
        """A runner of the trials with some shape of blocks, and how they start."""
        loop = self.plan.loop(shape)
        assert isinstance(loop.update_rule, SettingsLearning)
        runner = TrialRunner(
            loop,
            range(self.plan.trials),
            seed=self.plan.seed,
            mesh=self._mesh,
            batch_size=self.plan.batch_size,
        )
        return runner, runner.state(), loop.update_rule


def is_worse(error: Sequence[float], tried: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an error is above the median of all errors at that part of the budget.

    >>> is_worse([4, 100, 0.3], [{"errors": [[4, 100, e]]} for e in (0.1, 0.2, 0.4)])
    True
    >>> is_worse([4, 100, 0.3], [{"errors": [[4, 100, e]]} for e in (0.1, 0.4, 0.4)])
    False
    """
    others = [e for one in tried for part, _, e in one["errors"] if part == error[0]]
    return len(others) + 1 >= FEWEST and bool(error[2] > np.median([*others, error[2]]))


def errors_of(state: RunState) -> np.ndarray:
    """Every trial's error: 0 where it is solved, at most 1, of its last chunk where it is not."""
    status, (sequences, error, _) = state.trials.status, state.metrics
    with np.errstate(all="ignore"):
        mean = np.clip(np.nan_to_num(error[-1] / np.maximum(sequences[-1], 1), nan=1.0), 0, 1)
    return np.where(status == SOLVED, 0.0, np.where(status == NON_FINITE, 1.0, mean))


def cost_of(state: RunState, budget: int) -> float:
    """What is to be small: unsolved trials, and the share of the budget until success.

    A trial that is not solved counts its error in place of that share, of which the mean is taken.
    So a configuration that solves more trials is the better one, and of those the faster.
    """
    status, ended_at = state.trials.status, state.trials.ended_at
    assert not np.any(status == RUNNING)
    is_solved = status == SOLVED
    parts = np.where(is_solved, ended_at / budget, errors_of(state))
    return float(np.sum(~is_solved) + parts.mean())
