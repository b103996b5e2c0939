"""Random search: each trial is a configuration; one program runs all trials of a shape."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from experiments.cli.command import command_line
from experiments.rows import run
from experiments.rows.run import Row, RowOptions
from experiments.rows.text import text_table
from experiments.search import picture
from experiments.search.plan import NAMES, SearchPlan
from lstm_jax import TrialResult, make_recipe
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.hyperparameters import TrialHyperparameters
from lstm_jax.training.runs import result_file as schema
from lstm_jax.training.trials.training_loop import INITIAL_WEIGHTS
from lstm_jax.training.update_rules.base import root_key, with_fixed_settings
from lstm_jax.training.update_rules.random_search import RandomSearchUpdate

BEST = 10  # trials that are printed
# The fields of a file that are read.
FILE = {"columns": schema.LIST, "trials": schema.LIST, "blocks": schema.TEXT}


@dataclasses.dataclass(frozen=True)
class RandomSearch(Row):
    """The random search of one shape of blocks, which is run as a row is."""

    plan: SearchPlan
    shape: str  # one of the plan's

    @property
    def label(self) -> str:
        """Name of the files."""
        return self.plan.label(self.shape)

    @property
    def command(self) -> str:
        """The running command, which makes the same search again."""
        return command_line()

    def fingerprint(self) -> Document:
        space = self.plan.document()["space"]
        return super().fingerprint() | {"blocks": self.shape, "space": space}

    def document(self, results: Sequence[TrialResult], wall_seconds: float) -> Document:
        """Return the content of the result file, with one list of numbers per trial."""
        columns = self._hyperparameters([result.index for result in results]) | {
            "sequences": [result.sequences for result in results],
            "solved": [int(result.solved) for result in results],
            "error": [r.curve[-1, 1] if r.finite else np.nan for r in results],  # last chunk's
            "wrong in test": [result.test_wrong for result in results],
        }
        trials = zip(*columns.values(), strict=True)
        document = {"schema_version": schema.SCHEMA_VERSION, "columns": list(columns)}
        document |= self.fingerprint()
        document |= {
            "recipe_changes": self.recipe.changes,
            "test_size": results[0].test_size,
            "trials": [[*map(schema.plain_number, trial)] for trial in trials],
            "solved": sum(columns["solved"]),
            "non_finite": sum(not result.finite for result in results),
            "wall_seconds": round(wall_seconds, 2),
            "sequences_per_second": round(sum(columns["sequences"]) / wall_seconds, 1),
        }
        return document | schema.about_run(self.options.seed, self.command)

    def _hyperparameters(self, trials: list[int]) -> dict[str, list]:
        rule, root = self.loop.update_rule, root_key(self.options.seed)
        assert isinstance(rule, RandomSearchUpdate)

        def sample(trial: jax.Array) -> TrialHyperparameters:
            return rule.sample(jax.random.fold_in(jax.random.fold_in(root, trial), INITIAL_WEIGHTS))

        found = jax.device_get(with_fixed_settings(jax.jit(jax.vmap(sample)))(np.array(trials)))
        columns = {"trial": trials}
        for field, name in NAMES.items():
            numbers = getattr(found, field)
            if numbers is not None and field.endswith("bias"):
                columns |= {f"{name} {j + 1}": bias.tolist() for j, bias in enumerate(numbers.T)}
            elif numbers is not None:
                columns[name] = numbers.tolist()
        return columns

    def read(self, path: pathlib.Path) -> Document:
        document = schema.read_object(path)
        schema.check_fields(document, FILE, path)
        return document

    def draw(self, document: Document) -> style.Figure:
        return picture.random_search(document)


def search(plan: SearchPlan, options: RowOptions) -> None:
    """Run the random search of each shape of a plan, and print the best trials."""
    recipe, rows = make_recipe(plan.recipe), []
    for shape in plan.shapes:
        loop = plan.loop({"blocks": shape})
        rows.append(RandomSearch(f"{plan.task} {shape}", recipe, loop, options, plan, shape))
    run.prepare(rows)
    for row in rows:
        document = run.run_row(row)
        if not options.quiet:
            print(best(document))


def best(document: Document) -> str:
    """Return a table of the trials solved soonest, then of those with the lowest error."""
    names = document["columns"]
    trials = [dict(zip(names, trial, strict=True)) for trial in document["trials"]]
    trials = [trial for trial in trials if trial["error"] is not None]
    trials.sort(key=lambda trial: (-trial["solved"], trial["sequences"], trial["error"]))
    found = f"{document['solved']} of {len(document['trials'])} trials solved; the best:"
    if not document["solved"]:
        found = "no trial was solved; the lowest errors:"
    # A narrow terminal leaves out the last columns.
    names = dict.fromkeys(["trial", "solved", "sequences", "error", *names])
    columns = [(name, lambda trial, name=name: f"{trial[name]:.5g}") for name in names]
    title = f"{document['task']}, blocks {document['blocks']}: {found}"
    return f"{title}\n{text_table(trials[:BEST], columns)}"
