"""Search by Optuna's tree-structured Parzen estimator (TPE), one configuration after the other.

All configurations of one shape of blocks share one compiled program. They are pruned by
successive halving: after an eighth, a quarter and half of the budget, the error must not be above
the median of all errors at that point so far.

Reference: Bergstra, Bardenet, Bengio & Kégl (2011), Algorithms for hyper-parameter optimization.
"""

from __future__ import annotations

import math
import pathlib
import signal
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.cli import files
from experiments.cli.command import command_line, import_extra
from experiments.rows.run import RowOptions
from experiments.rows.text import Column, show, text_table
from experiments.search import picture
from experiments.search.plan import SearchPlan
from lstm_jax import TrialRunner
from lstm_jax.network.files import Document
from lstm_jax.training.host.interrupts import Interrupted
from lstm_jax.training.runs import result_file as schema
from lstm_jax.training.runs.checkpoints import differences, locked
from lstm_jax.training.trials.records import RunState
from lstm_jax.training.trials.training_loop import NON_FINITE, SOLVED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DIGITS = 3  # significant digits of a number in a configuration and in its command
RANDOM = 10  # configurations that are drawn at random before the estimator takes over
PARTS = 32  # of the budget; at the end of each, the error is noted
JUDGED = (4, 8, 16)  # parts at whose end a configuration may be pruned
MIN_ERRORS = 4  # of which a median is taken
# The fields that are read, of the file and of a configuration.
FILE = {"configurations": schema.LIST, "wall_seconds": schema.NUMBER}
CONFIGURATION = {"recipe": schema.TEXT, "solved": schema.COUNT, "sequences": schema.MAYBE}
BEST = 5  # configurations that are printed
COLUMNS: tuple[Column, ...] = (
    ("cost", lambda c: f"{c['cost']:.3f}"),
    ("solved", lambda c: str(c["solved"])),
    ("mean sequences", lambda c: show(c["sequences"])),
    ("recipe", lambda c: c["recipe"]),
)


def search(plan: SearchPlan, options: RowOptions, number: int) -> None:
    """Try configurations until the file has `number` of them, and print the best."""
    path = options.out / f"{plan.label()}.json"
    files.check_free(path, options.overwrite or options.resume)
    _load_optuna()
    files.make_folder(options.out)
    with locked(
        options.out / f"{plan.label()}.running"
    ):  # of two runs, each would lose the other's
        _search(plan, options, number, path)


def _search(plan: SearchPlan, options: RowOptions, number: int, path: pathlib.Path) -> None:
    may_replace = options.overwrite or options.resume
    document: Document = {"schema_version": schema.SCHEMA_VERSION} | plan.document()
    document |= {"configurations": [], "wall_seconds": 0.0}
    document |= schema.about_run(plan.seed, command_line())
    if options.resume and path.exists():
        document = _read(path, plan)
    tried: list[Document] = document["configurations"]
    is_written = may_replace
    try:
        while len(tried) < number:
            started = time.monotonic()
            tried.append(evaluate(plan, propose(plan, tried), tried))
            seconds = document["wall_seconds"] + time.monotonic() - started
            document["wall_seconds"] = round(seconds, 2)
            path, is_written = files.write_result(path, document, overwrite=is_written), True
            if not options.quiet:
                last, found = tried[-1], "pruned"
                if last["cost"] is not None:
                    found = f"{last['solved']} solved, cost {last['cost']:.3f}"
                line = f"{len(tried)} of {number}: {last['recipe']}: {found}"
                print(line, file=sys.stderr, flush=True)
    except KeyboardInterrupt as error:
        message = f"interrupted: {path}, --resume continues after {len(tried)} configurations"
        raise Interrupted(message, getattr(error, "number", signal.SIGINT)) from error
    drawn = files.draw_beside(path, lambda: picture.tpe(document), may_replace)
    if not options.quiet:
        print(f"wrote {path}" + (f" and {drawn}" if drawn else ""))
        best = sorted((c for c in tried if c["cost"] is not None), key=lambda c: c["cost"])[:BEST]
        print(text_table(best, COLUMNS))
        if best[0]["solved"]:
            print(f"the best again:\n{plan.command(best[0]['values'], options.out)}")
        else:
            print("no configuration solved a trial: widen the bounds, or raise --max_sequences")


def _read(path: pathlib.Path, plan: SearchPlan) -> Document:
    """Read the file of an interrupted search; raise ValueError if it is not one of this plan."""
    document, expected = schema.read_object(path), plan.document()
    schema.check_fields(document, FILE, path)
    if found := differences({name: document.get(name) for name in expected}, expected):
        raise ValueError(f"{path} differs in {found}; --overwrite replaces it")
    for i, entry in enumerate(document["configurations"]):
        try:
            schema.check_fields(entry, CONFIGURATION, path)
            _as_trial(plan, entry)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} has a wrong configurations[{i}]") from error
    return document


def _load_optuna() -> ModuleType:
    optuna = import_extra("optuna", "search", "--sampler=tpe")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def propose(plan: SearchPlan, tried: Sequence[Document]) -> Document:
    """Return the next configuration, which is a function of the seed and of those before it."""
    # The result file is the study: an interrupted search goes on exactly as if it had not been,
    # while Optuna's storages lack the state of the sampler's generator, and its pruners compare
    # with configurations that ran to their end, of which pruning leaves few.
    optuna = _load_optuna()
    seed = int(np.random.SeedSequence((plan.seed, len(tried))).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
    study = optuna.create_study(sampler=sampler)
    study.add_trials([_as_trial(plan, configuration) for configuration in tried])
    trial = study.ask()
    values: Document = {"blocks": trial.suggest_categorical("blocks", plan.shapes)}
    for name, bounds in plan.bounds(values["blocks"]).items():
        value = trial.suggest_float(name, *bounds, log="bias" not in name)
        digits = DIGITS - 1 - math.floor(math.log10(abs(value))) if value else 0
        values[name] = min(max(round(value, digits), bounds[0]), bounds[1])
    return values


def _as_trial(plan: SearchPlan, configuration: Document) -> FrozenTrial:
    optuna = _load_optuna()
    values, cost = configuration["values"], configuration["cost"]
    distributions = {"blocks": optuna.distributions.CategoricalDistribution(plan.shapes)}
    for name, bounds in plan.bounds(values["blocks"]).items():
        is_log = "bias" not in name
        distributions[name] = optuna.distributions.FloatDistribution(*bounds, log=is_log)
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.PRUNED if cost is None else states.COMPLETE,
        params=values,
        distributions=distributions,
        value=cost,
        intermediate_values={part: error for part, _, error in configuration["errors"]},
    )


def evaluate(plan: SearchPlan, values: Document, tried: Sequence[Document]) -> Document:
    """Run the trials of a configuration to their end, or until it is pruned.

    `tried` are the results of those before it. The result has its `values`, `recipe`, `cost` (None
    if it was pruned), number of `solved` trials, their mean `sequences`, and `errors`: [part of the
    budget, sequences, mean training error] each.
    """
    mesh = Mesh(np.array(jax.devices()), ("trials",))
    trials, batch_size = range(plan.trials), plan.batch_size
    loop = plan.loop(values)
    runner = TrialRunner(loop, trials, seed=plan.seed, mesh=mesh, batch_size=batch_size)
    state, budget, errors, is_pruned = runner.state(), plan.max_sequences, [], False
    while not (runner.finished or is_pruned):
        before = PARTS * runner.num_sequences // budget
        runner.run_chunk()
        part = PARTS * runner.num_sequences // budget
        if part > before or runner.finished:
            state = runner.state()
            error = float(np.mean(_trial_errors(runner, state)))
            errors.append([part, runner.num_sequences, error])
            known = [e for one in tried for at, _, e in one["errors"] if at == part] + [error]
            is_judged = any(before < at <= part for at in JUDGED) and not runner.finished
            is_pruned = is_judged and len(known) >= MIN_ERRORS and error > np.median(known)
    sequences = np.asarray(state.trials.ended_at)[state.trials.status == SOLVED]
    return {
        "values": values,
        "recipe": plan.recipe_of(values),
        "cost": None if is_pruned else _cost(runner, state, budget),
        "solved": len(sequences),
        "sequences": float(np.mean(sequences)) if len(sequences) else None,
        "errors": errors,
    }


def _trial_errors(runner: TrialRunner, state: RunState) -> np.ndarray:
    """Return each trial's mean error in the last chunk, at most 1; 0 if it is solved."""
    status = state.trials.status
    errors = np.clip(np.nan_to_num(runner.errors, nan=1.0), 0, 1)
    return np.where(status == SOLVED, 0.0, np.where(status == NON_FINITE, 1.0, errors))


def _cost(runner: TrialRunner, state: RunState, budget: int) -> float:
    """Return the number of unsolved trials plus the mean share of the budget until success.

    An unsolved trial counts its error in place of that share: more solved trials come first, and
    then fewer sequences.
    """
    is_solved = state.trials.status == SOLVED
    shares = np.where(is_solved, state.trials.ended_at / budget, _trial_errors(runner, state))
    return float(np.sum(~is_solved) + shares.mean())
