"""Gate biases on and off: drift of the internal states, abuse of memory cells."""

from __future__ import annotations

from experiments.claims.base import comparison, draw_comparison
from lstm_jax.tasks import make_task, replace_hyperparameters
from lstm_jax.training.trials.training_loop import TrainingLoop

GATES = (("6a", "input"), ("3a-100-3", "input"), ("3a-100-3", "output"))


def variants() -> dict[str, TrainingLoop]:
    """Return rows with the paper's gate biases, random ones, and the negated ones."""
    loops = {}
    for row, gate in GATES:
        published = getattr(make_task(row).hyperparameters, f"{gate}_gate_bias")
        for label, bias in (
            ("as in the paper", published),
            ("random", None),
            ("positive", tuple(-b for b in published)),
        ):
            loops[f"{row}, {gate} gate bias {label}"] = with_bias(row, gate, bias)
    return loops


def with_bias(row: str, gate: str, bias: tuple[float, ...] | None) -> TrainingLoop:
    """Return the training loop of a row with other biases of its "input" or "output" gates."""
    return TrainingLoop(replace_hyperparameters(make_task(row), **{f"{gate}_gate_bias": bias}))


run = comparison(variants)
draw = draw_comparison
