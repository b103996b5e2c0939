"""What the paper claims beyond its tables, each shown by a small run: a JSON file and a picture.

    python -m experiments.claims --claim=length --out=experiments/results/claims

    length    networks trained at one length, tested on longer ones
    gates     gate biases on and off: drift of the internal states, abuse of memory cells
    gradient  the truncated gradient against the full one
    blocks    memory cell blocks against single cells
    lags      task 2c: sequences until success against the minimal time lag
    xor       strongly delayed XOR: the limit of the truncated gradient

and, of the rivals (`experiments.rival_claims`), `noise`, `time-constants`, `other-lags`, `adam`,
`tolerance` and `reach`.

`length` and `lags` train nothing: they read the result files in experiments/results.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import optax
from absl import flags

from experiments import cli, plots, rival_claims
from experiments.tables import RESULTS, read_results
from lstm_jax.network.layer import Gradient
from lstm_jax.network.outputs import apply
from lstm_jax.tasks import (
    Example,
    Task,
    adding,
    delayed_xor,
    make_task,
    temporal_order,
    two_sequence,
    very_long_lags,
)
from lstm_jax.training.gradient_learning import GradientLearning
from lstm_jax.training.learning import Learning
from lstm_jax.training.recipes import chunk_of
from lstm_jax.training.results import about_run, make_document, read_network, write_json
from lstm_jax.training.runtime import configure_cpu
from lstm_jax.training.trials import TrialRunner

Document = dict[str, Any]
Variants = dict[str, tuple[Task, Gradient]]
LENGTHS = (100, 200, 500, 1_000, 10_000)  # T
NUM_TESTS = 256  # sequences of each length
ROWS_AT_100 = ("2c-100-100", "3a-100-3", "3b-100-3", "3c-100-3", "4-100", "6a", "6b")


# Trained at one length, tested at longer ones --------------------------------------------------


def sample_longer(key: jax.Array, row: str, length: int) -> Example:
    """Draws a sequence of one of `ROWS_AT_100`, with T = `length` in place of 100."""
    if row == "2c-100-100":
        return very_long_lags.sample_very_long(key, length, num_distractors=100)
    if row == "4-100":
        return adding.sample_adding(key, length)
    if row.startswith("6"):
        return temporal_order.sample_order(key, temporal_order.RANGES[row], length // 100)
    return two_sequence.sample_two_sequence(key, row.split("-")[0], length, num_signal=3)


def longer_sequences(documents: list[Document]) -> Document:
    """The fraction of wrong sequences of each length, for a solved network of each row."""
    fractions = {
        plots.row_label(document): [fraction_wrong(document, length) for length in LENGTHS]
        for document in documents
        if document["task"] in ROWS_AT_100 and document.get("network")
    }
    return {"lengths": LENGTHS, "tests": NUM_TESTS, "fraction_wrong": fractions}


def fraction_wrong(document: Document, length: int) -> float:
    """How many of `NUM_TESTS` sequences a row's solved network gets wrong at T = `length`."""
    architecture, parameters = read_network(document)
    row = document["task"]
    is_correct = make_task(row).is_correct

    @jax.jit
    @jax.vmap
    def test(key: jax.Array) -> jax.Array:
        example = sample_longer(key, row, length)
        outputs, _ = apply(
            architecture, parameters, example.inputs, at="end", length=example.length
        )
        return is_correct(outputs, example)

    return float(1 - test(jax.random.split(jax.random.key(0), NUM_TESTS)).mean())


# Comparisons of variants of a task, by trials --------------------------------------------------


def gate_biases() -> Variants:
    """Input and output gate biases as in the paper, random, and the wrong way round."""
    tasks = {}
    for row, kind in (("6a", "input"), ("3a-100-3", "input"), ("3a-100-3", "output")):
        task = make_task(row)
        given = getattr(task.conditions, f"{kind}_gate_bias")
        for label, bias in (
            ("as in the paper", given),
            ("random", None),
            ("positive", tuple(-b for b in given)),
        ):
            conditions = dataclasses.replace(task.conditions, **{f"{kind}_gate_bias": bias})
            changed = dataclasses.replace(task, conditions=conditions)
            tasks[f"{row}, {kind} gate bias {label}"] = (changed, "truncated")
    return tasks


def gradients() -> Variants:
    """The truncated gradient and the full one, on the tasks that both can be run on quickly."""
    return {
        f"{row}, {gradient} gradient": (make_task(row), gradient)
        for row in ("3a-100-3", "3b-100-3", "6a", "2c-50-50")
        for gradient in ("truncated", "full")
    }


def block_shapes() -> Variants:
    """Task 6a by blocks of different sizes, with input gate biases -2, -4, ... as in the paper."""
    task, tasks = make_task("6a"), {}
    for blocks in ((1,), (2,), (4,), (1, 1), (2, 2), (3, 3), (1, 1, 1), (1, 1, 1, 1)):
        architecture = dataclasses.replace(task.architecture, blocks=blocks)
        biases = tuple(-2.0 * (j + 1) for j in range(len(blocks)))
        conditions = dataclasses.replace(task.conditions, input_gate_bias=biases)
        changed = dataclasses.replace(task, architecture=architecture, conditions=conditions)
        label = f"6a, {len(blocks)} x {blocks[0]} cells, {architecture.num_weights} weights"
        tasks[label] = (changed, "truncated")
    return tasks


def delayed_xors() -> Variants:
    """Delayed XOR at growing lengths, by either gradient, within 100,000 sequences."""
    return {
        f"XOR, T = {length}, {gradient} gradient": (delayed_xor.make(length, 100_000), gradient)
        for length in (4, 10, 20, 50)
        for gradient in ("truncated", "full")
    }


def learnings(variants: Variants) -> dict[str, Learning]:
    """How the LSTM learns each variant, (task, gradient), by the paper's conditions."""
    return {
        label: Learning(
            task,
            GradientLearning(task, optax.sgd(task.conditions.learning_rate), gradient),
            chunk_of(task),
        )
        for label, (task, gradient) in variants.items()
    }


def compare(variants: dict[str, Learning], trials: int, seed: int, quiet: bool) -> list[Document]:
    """Runs the trials of every variant, and documents them."""
    documents = []
    for label, learning in variants.items():
        started = time.monotonic()
        results = TrialRunner(learning, range(trials), seed=seed).run()
        document = make_document(
            learning.task,
            SimpleNamespace(name=label, changes=label),  # type: ignore[arg-type]
            results,
            wall_seconds=time.monotonic() - started,
            seed=seed,
            command=cli.command_line(),
        )
        documents.append(document | {"network": None})
        if not quiet:
            summary = document["summary"]
            print(f"{label}: {summary['solved']} of {trials}, mean {summary['mean_sequences']}")
    return documents


def measure(
    variants: dict[str, Learning],
    of_one: Callable[[Learning, int, int], Document],
    trials: int,
    seed: int,
    quiet: bool,
) -> dict[str, Document]:
    """What `of_one`, of a learning, a number of trials and a seed, finds of every variant."""
    found = {}
    for label, learning in variants.items():
        found[label] = of_one(learning, trials, seed)
        if not quiet:
            print(f"{label}: {found[label]['solved']} of {trials} solved")
    return found


# One function a claim: flags and the picture's path to the document ----------------------------


def show_length(values: Any, picture: pathlib.Path) -> Document:
    """`length`."""
    document = longer_sequences(read_results(RESULTS))
    told = "T of the tests (trained at T = 100)"
    plots.fraction_wrong(LENGTHS, document["fraction_wrong"], picture, told)
    return document


def show_lags(values: Any, picture: pathlib.Path) -> Document:
    """`lags`."""
    rows = [d for d in read_results(RESULTS) if d["task"].startswith("2c-")]
    plots.lags(rows, picture)
    return {"rows": {plots.row_label(d): d["summary"] for d in rows}}


def show_other_lags(values: Any, picture: pathlib.Path) -> Document:
    """`other-lags`: what fixed time constants and the LSTM, trained at one lag, get wrong then."""
    variants = measure(
        rival_claims.trained_at_one_lag(),
        rival_claims.wrong_at_other_lags,
        values.trials,
        values.seed,
        values.quiet,
    )
    lines = {
        f"{label}, {of['solved']} solved": of["fraction_wrong"]
        for label, of in variants.items()
        if of["solved"]
    }
    told = f"lag of the tests (trained at {rival_claims.TRAINED_LAG})"
    plots.fraction_wrong(rival_claims.TESTED_LAGS, lines, picture, told)
    return {
        "trained_lag": rival_claims.TRAINED_LAG,
        "tested_lags": rival_claims.TESTED_LAGS,
        "trials": values.trials,
        "variants": variants,
    }


def show_reach(values: Any, picture: pathlib.Path) -> Document:
    """`reach`: how far the first symbol of task 2a reaches."""
    variants = measure(
        rival_claims.reaching(), rival_claims.reach, values.trials, values.seed, values.quiet
    )
    plots.over_training(
        variants,
        {
            "reach": "last step that tells the first symbol",
            "last_error": "largest error at the last step",
            "told": "change of C's hidden unit\nby the first symbol",
        },
        picture,
    )
    return {"trials": values.trials, "variants": variants}


def show_comparison(values: Any, picture: pathlib.Path) -> Document:
    """Those that compare variants by their trials."""
    variants = _COMPARISONS[values.claim]()
    rows = compare(variants, values.trials, values.seed, values.quiet)
    plots.sequences_to_success(rows, picture, lambda row: row["recipe"])
    return {"variants": rows}


_COMPARISONS: dict[str, Callable[[], dict[str, Learning]]] = {
    "gates": lambda: learnings(gate_biases()),
    "gradient": lambda: learnings(gradients()),
    "blocks": lambda: learnings(block_shapes()),
    "xor": lambda: learnings(delayed_xors()),
    "noise": rival_claims.noise_levels,
    "time-constants": rival_claims.time_constants,
    "adam": rival_claims.adam,
    "tolerance": rival_claims.tolerances,
}
CLAIMS: dict[str, Callable[[Any, pathlib.Path], Document]] = {
    "length": show_length,
    "lags": show_lags,
    "other-lags": show_other_lags,
    "reach": show_reach,
    **dict.fromkeys(_COMPARISONS, show_comparison),
}


def main() -> None:
    """Shows the claim that the flags name."""
    configure_cpu()
    values = flags.FLAGS
    out, claim = pathlib.Path(values.out), values.claim
    path, picture = out / f"claim.{claim}.json", out / f"claim.{claim}.png"
    if path.exists() and not values.overwrite:
        raise ValueError(f"{path} exists; --overwrite replaces it")
    out.mkdir(parents=True, exist_ok=True)
    about = {"claim": claim} | about_run(values.seed, cli.command_line())
    document = CLAIMS[claim](values, picture)
    write_json(path, about | document)


if __name__ == "__main__":
    flags.DEFINE_enum("claim", None, list(CLAIMS), "Which claim to show.", required=True)
    flags.DEFINE_string("out", None, "Folder for the JSON file and the picture.", required=True)
    flags.DEFINE_integer("trials", 8, "Trials of each variant.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of all random numbers.", lower_bound=0)
    flags.DEFINE_bool("overwrite", False, "Replace files that exist.")
    flags.DEFINE_bool("quiet", False, "Print nothing but errors.")
    cli.run(main)
