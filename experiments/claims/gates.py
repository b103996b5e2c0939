"""Gate biases on and off: drift of the internal states, abuse of memory cells."""

from __future__ import annotations

import dataclasses

from experiments.claims.base import Settings, by_descent, compare, draw_comparison
from lstm_jax.network.files import Document
from lstm_jax.tasks import make_task
from lstm_jax.training.trials.training_loop import TrainingLoop

BIASES = (("6a", "input"), ("3a-100-3", "input"), ("3a-100-3", "output"))  # rows, kinds of gate


def variants() -> dict[str, TrainingLoop]:
    """Gate biases as in the paper, random, and the wrong way round."""
    loops = {}
    for row, kind in BIASES:
        given = getattr(make_task(row).hyperparameters, f"{kind}_gate_bias")
        for label, bias in (
            ("as in the paper", given),
            ("random", None),
            ("positive", tuple(-b for b in given)),
        ):
            loops[f"{row}, {kind} gate bias {label}"] = with_bias(row, kind, bias)
    return loops


def with_bias(row: str, kind: str, bias: tuple[float, ...] | None) -> TrainingLoop:
    """A row learned with other initial biases of its "input" or "output" gates."""
    task = make_task(row)
    hyperparameters = dataclasses.replace(task.hyperparameters, **{f"{kind}_gate_bias": bias})
    return by_descent(dataclasses.replace(task, hyperparameters=hyperparameters))


def run(settings: Settings) -> Document:
    """The trials of every variant."""
    return compare(variants(), settings)


draw = draw_comparison
