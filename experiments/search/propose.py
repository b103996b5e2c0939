"""The next settings to try: Optuna's tree-structured Parzen estimator, told of all that were tried.

A proposal is a function of the seed and of what the file of a run says, and of nothing else; so a
run that was cut off goes on as if it had not been.

Reference: Bergstra, Bardenet, Bengio & Kégl (2011), Algorithms for hyper-parameter optimization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.search.plan import Plan, Values, rounded
from lstm_jax.network.files import Document

RANDOM = 10  # configurations that are drawn at random before the estimator takes over


def load_optuna() -> Any:
    """Optuna, silent.

    Raises:
      ImportError: if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("tune needs Optuna: pip install 'lstm_jax[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def propose(plan: Plan, tried: Sequence[Document]) -> Values:
    """Settings for the next configuration.

    Args:
      plan: where they are looked for.
      tried: the configurations so far, as `evaluate` returns them.
    """
    optuna = load_optuna()
    entropy = np.random.SeedSequence((plan.seed, len(tried)))
    sampler = optuna.samplers.TPESampler(
        seed=int(entropy.generate_state(1)[0]), n_startup_trials=RANDOM
    )
    study = optuna.create_study(sampler=sampler)
    for configuration in tried:
        study.add_trial(_as_trial(optuna, plan, configuration))
    trial = study.ask()
    shape = trial.suggest_categorical("blocks", plan.shapes)
    values: Values = {"blocks": shape}
    for name, (bounds, is_log) in plan.bounds(shape).items():
        values[name] = rounded(trial.suggest_float(name, *bounds, log=is_log), bounds)
    return values


def _as_trial(optuna: Any, plan: Plan, configuration: Document) -> Any:
    """A configuration as Optuna keeps it: one that was stopped by its error when it was."""
    values, cost = configuration["values"], configuration["cost"]
    bounds = plan.bounds(values["blocks"])
    distributions = {"blocks": optuna.distributions.CategoricalDistribution(plan.shapes)}
    for name, (ends, is_log) in bounds.items():
        distributions[name] = optuna.distributions.FloatDistribution(*ends, log=is_log)
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.PRUNED if cost is None else states.COMPLETE,
        params=values,
        distributions=distributions,
        value=cost,
        intermediate_values={part: error for part, _, error in configuration["errors"]},
    )
