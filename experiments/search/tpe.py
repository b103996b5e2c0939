"""Search by Optuna's tree-structured Parzen estimator (TPE), one configuration after the other.

The trials of a configuration run side by side. All configurations of one shape of blocks share one
compiled program, whose trials start anew with other hyperparameters. Configurations are pruned by
successive halving: after an eighth, a quarter and half of the budget, the error must not be above
the median of all errors at that point so far.

Reference: Bergstra, Bardenet, Bengio & Kégl (2011), Algorithms for hyper-parameter optimization.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.search.plan import SearchPlan, rounded
from lstm_jax.cell.parameters import Parameters
from lstm_jax.network.files import Document
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS, NON_FINITE, SOLVED
from lstm_jax.training.update_rules.base import as_key, vmap_trials, with_fixed_prng
from lstm_jax.training.update_rules.lstm import PerSequenceUpdate
from lstm_jax.training.update_rules.random_search import Sample, start_trial

RANDOM = 10  # configurations that are drawn at random before the estimator takes over
PARTS = 32  # of the budget; at the end of each, the error is noted
JUDGED = (4, 8, 16)  # parts at whose end a configuration may be pruned
MIN_ERRORS = 4  # of which a median is taken
KEYS = {"values", "recipe", "cost", "solved", "sequences", "errors"}  # of a configuration


def load_optuna() -> Any:
    """Import Optuna, without its log.

    Raises:
      ImportError: if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("--sampler=tpe needs Optuna: pip install 'lstm_jax[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def search(
    plan: SearchPlan,
    document: Document,
    number: int,
    save: Callable[[Document], None],
    quiet: bool = False,
) -> None:
    """Try configurations until the document has `number` of them, and save it after each."""
    evaluator, tried = Evaluator(plan), document["configurations"]
    while len(tried) < number:
        started = time.monotonic()
        found = evaluator.evaluate(propose(plan, tried), tried)
        tried.append(found)
        if not quiet:
            _, sequences, error = found["errors"][-1]
            end = f"pruned after {sequences:,} sequences, error {error:.3f}"
            if found["cost"] is not None:
                end = f"{found['solved']} solved, cost {found['cost']:.3f}"
            line = f"{len(tried)} of {number}: {found['recipe']}: {end}"
            print(line, file=sys.stderr, flush=True)
        document["wall_seconds"] = round(document["wall_seconds"] + time.monotonic() - started, 2)
        save(document)


# The estimator -----------------------------------------------------------------------------------


def propose(plan: SearchPlan, tried: Sequence[Document]) -> Document:
    """Return the next configuration, which is a function of the seed and of those before it.

    Args:
      plan: the plan.
      tried: the configurations so far, as `Evaluator.evaluate` returns them.
    """
    # The result file is the study: an interrupted search goes on exactly as if it had not been,
    # while Optuna's storages lack the state of the sampler's generator, and its pruners compare
    # with configurations that ran to their end, of which pruning leaves few.
    optuna = load_optuna()
    entropy = np.random.SeedSequence((plan.seed, len(tried)))
    seed = int(entropy.generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
    study = optuna.create_study(sampler=sampler)
    study.add_trials([as_trial(plan, configuration) for configuration in tried])
    trial = study.ask()
    values: Document = {"blocks": trial.suggest_categorical("blocks", plan.shapes)}
    for name, (bounds, is_log) in plan.bounds(values["blocks"]).items():
        values[name] = rounded(trial.suggest_float(name, *bounds, log=is_log), bounds)
    return values


def as_trial(plan: SearchPlan, configuration: Document) -> Any:
    """Return a configuration as Optuna represents it."""
    optuna = load_optuna()
    values, cost = configuration["values"], configuration["cost"]
    distributions = {"blocks": optuna.distributions.CategoricalDistribution(plan.shapes)}
    for name, (bounds, is_log) in plan.bounds(values["blocks"]).items():
        distributions[name] = optuna.distributions.FloatDistribution(*bounds, log=is_log)
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.PRUNED if cost is None else states.COMPLETE,
        params=values,
        distributions=distributions,
        value=cost,
        intermediate_values={part: error for part, _, error in configuration["errors"]},
    )


# Trials ------------------------------------------------------------------------------------------


class Evaluator:
    """Runs the trials of configurations, with one compiled program per shape of blocks."""

    def __init__(self, plan: SearchPlan, devices: Sequence[Any] | None = None) -> None:
        """Set up for a plan, on some devices (default: all)."""
        self._plan = plan
        self._mesh = Mesh(np.array(devices or jax.devices()), ("trials",))
        self._runners: dict[str, tuple[TrialRunner, RunState]] = {}

    def evaluate(self, values: Document, tried: Sequence[Mapping[str, Any]]) -> Document:
        """Run the trials of a configuration to their end, or until it is pruned.

        Args:
          values: the configuration.
          tried: the results of those before it.

        Returns:
          Its `values`, `recipe`, `cost` (None if it was pruned), number of `solved` trials, their
          mean `sequences`, and `errors`: [part of the budget, sequences, mean training error] each.
        """
        runner, state = self._restart(values)
        budget, errors, is_pruned = self._plan.max_sequences, [], False
        while not (runner.finished or is_pruned):
            before = PARTS * runner.num_sequences // budget
            runner.run_chunk()
            part = PARTS * runner.num_sequences // budget
            if part > before or runner.finished:
                state = runner.state()
                error = float(np.mean(trial_errors(runner, state)))
                errors.append([part, runner.num_sequences, error])
                is_judged = any(before < at <= part for at in JUDGED) and not runner.finished
                is_pruned = is_judged and is_worse(errors[-1], tried)
        sequences = np.asarray(state.trials.ended_at)[state.trials.status == SOLVED]
        return {
            "values": values,
            "recipe": self._plan.recipe_of(values),
            "cost": None if is_pruned else _cost(runner, state, budget),
            "solved": len(sequences),
            "sequences": float(np.mean(sequences)) if len(sequences) else None,
            "errors": errors,
        }

    def _restart(self, values: Document) -> tuple[TrialRunner, RunState]:
        shape, plan = values["blocks"], self._plan
        if shape not in self._runners:
            runner = TrialRunner(
                plan.loop(shape),
                range(plan.trials),
                seed=plan.seed,
                mesh=self._mesh,
                batch_size=plan.batch_size,
            )
            self._runners[shape] = runner, runner.state()
        runner, state = self._runners[shape]
        assert isinstance(runner.loop.update_rule, PerSequenceUpdate)
        state = start_trials(state, runner.loop.update_rule, plan.sample_of(values))
        runner.restore(state)
        return runner, state


def start_trials(state: RunState, rule: PerSequenceUpdate, sample: Sample) -> RunState:
    """Return the state of a run at its start, with the same hyperparameters in all trials.

    Args:
      state: the state of a runner before its first chunk.
      rule: the runner's update rule.
      sample: the hyperparameters.
    """

    def start(key_data: jax.Array) -> tuple[Parameters, Any]:
        return start_trial(rule, jax.random.fold_in(as_key(key_data), INITIAL_WEIGHTS), sample)

    started = with_fixed_prng(vmap_trials(start))(state.trials.keys)
    parameters, optimiser_state = jax.device_get(started)
    model = state.trials.model._replace(parameters=parameters, optimiser_state=optimiser_state)
    if model.previous is not None:
        model = model._replace(previous=parameters)
    best = state.best._replace(model=jax.tree.map(np.array, model))
    return state._replace(trials=state.trials._replace(model=model), best=best)


def is_worse(error: Sequence[float], tried: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether an error is above the median of all errors at that part of the budget.

    >>> is_worse([4, 100, 0.3], [{"errors": [[4, 100, e]]} for e in (0.1, 0.2, 0.4)])
    True
    >>> is_worse([4, 100, 0.3], [{"errors": [[4, 100, e]]} for e in (0.1, 0.4, 0.4)])
    False
    """
    errors = [e for one in tried for part, _, e in one["errors"] if part == error[0]] + [error[2]]
    return len(errors) >= MIN_ERRORS and bool(error[2] > np.median(errors))


def trial_errors(runner: TrialRunner, state: RunState) -> np.ndarray:
    """Return each trial's mean error in the last chunk, at most 1; 0 if it is solved."""
    status = state.trials.status
    errors = np.clip(np.nan_to_num(runner.errors, nan=1.0), 0, 1)
    return np.where(status == SOLVED, 0.0, np.where(status == NON_FINITE, 1.0, errors))


def _cost(runner: TrialRunner, state: RunState, budget: int) -> float:
    """Return the number of unsolved trials plus the mean share of the budget until success.

    An unsolved trial counts its error in place of that share. So a configuration that solves more
    trials is the better one, and of those that solve as many, the faster one.
    """
    is_solved = state.trials.status == SOLVED
    shares = np.where(is_solved, state.trials.ended_at / budget, trial_errors(runner, state))
    return float(np.sum(~is_solved) + shares.mean())
