"""Hyperparameters of a training run, for tasks, recipes and result files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import jax
import numpy as np
from jax.typing import ArrayLike

from lstm_jax.cell.units import GATES
from lstm_jax.cell.validation import as_float, check_choice, check_type, convert_fields, displayed
from lstm_jax.network.losses import HALF_SQUARED, Loss
from lstm_jax.network.run import Gradient

Optimiser = Literal["sgd", "adam", "adam_inverse_sqrt"]
UpdateAfter = Literal["sequence", "step", "next_first_step"]


class TrialHyperparameters(NamedTuple):
    """The hyperparameters of a trial that are arguments of compiled programs, float32.

    Programs are compiled once for all of their values, and trials that run side by side may differ
    in them. The names are those of `Hyperparameters`; a gate's biases are [J], or None if they are
    random as all weights.
    """

    learning_rate: ArrayLike
    init_range: ArrayLike
    input_gate_bias: ArrayLike | None
    output_gate_bias: ArrayLike | None
    forget_gate_bias: ArrayLike | None


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Initial weights of a network and the way it is trained (the paper's table of conditions).

    Defaults are the paper's values wherever one value holds for all of its tasks.

    Attributes:
      learning_rate: a, the learning rate of the optimiser; not negative. 0.0 for a baseline that
        has none.
      init_range: initial weights are uniform in [-init_range, init_range]; 0.1 or 0.2 in the paper.
      input_gate_bias: initial biases of the J input gates; None: random, as all weights.
      output_gate_bias: as `input_gate_bias`, of the J output gates.
      forget_gate_bias: as `input_gate_bias`, of the J forget gates, if there are any.
      add_gate_bias: whether given gate biases are added to the random ones instead of replacing
        them.
      loss: the loss at the output units; E / 2 in the paper (eqs. 16, 19).
      gradient: the gradient that updates use, as in `lstm_jax.RunOptions`; the paper's is
        "truncated".
      optimiser: "sgd", the paper's gradient descent; "adam", at a constant rate; or
        "adam_inverse_sqrt", Adam at the rate a / sqrt(1 + n / 5000) after n updates.
      update_after: when weights change: after each "sequence", as in the paper; after each "step"
        that has a loss; or after the first step of the following sequence, "next_first_step".

    Raises:
      ValueError: if a number is not finite in float32 or is out of its range, or a choice is
        unknown.
    """

    learning_rate: float = 0.1
    init_range: float = 0.1
    input_gate_bias: tuple[float, ...] | None = None
    output_gate_bias: tuple[float, ...] | None = None
    forget_gate_bias: tuple[float, ...] | None = None
    add_gate_bias: bool = False
    loss: Loss = HALF_SQUARED
    gradient: Gradient = "truncated"
    optimiser: Optimiser = "sgd"
    update_after: UpdateAfter = "sequence"

    def __post_init__(self) -> None:
        convert_fields(self, functools.partial(as_float, least=0.0), "learning_rate")
        convert_fields(self, functools.partial(as_float, above=0.0), "init_range")
        convert_fields(self, _as_numbers, *(f"{gate.name}_bias" for gate in GATES))
        check_type("loss", self.loss, Loss)
        check_choice("gradient", self.gradient, get_args(Gradient))
        check_choice("optimiser", self.optimiser, get_args(Optimiser))
        check_choice("update_after", self.update_after, get_args(UpdateAfter))

    def of_trial(self) -> TrialHyperparameters:
        """Return those that are arguments of compiled programs, on the host."""
        as_array = lambda biases: None if biases is None else np.asarray(biases, np.float32)
        return TrialHyperparameters(
            np.float32(self.learning_rate),
            np.float32(self.init_range),
            as_array(self.input_gate_bias),
            as_array(self.output_gate_bias),
            as_array(self.forget_gate_bias),
        )

    def without_values(self) -> Hyperparameters:
        """Return what compiled programs depend on: these with fixed values `of_trial`."""
        arrays = jax.tree.map(np.ones_like, self.of_trial())
        return dataclasses.replace(self, **arrays._asdict())


def _as_numbers(name: str, values: object) -> tuple[float, ...] | None:
    """Convert a tuple, list or array of numbers, one per block."""
    if values is None:
        return None
    if not isinstance(values, Iterable) or np.asarray(values).ndim != 1:
        raise ValueError(f"{name} must be numbers, one per block, or None, got {displayed(values)}")
    return tuple(as_float(name, value) for value in values)
