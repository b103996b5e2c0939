"""Recurrent nets, sequences for them, and their conversion for the NumPy oracle."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    SupervisedSequence,
    Weights,
    weight_shapes,
)

NETS = {
    "full": RecurrentNet(3, 2, 2, "full"),
    "layered": RecurrentNet(3, 2, 2, "layered"),
    "simple": RecurrentNet(3, 2, 2, "simple"),
    "task 2a's": RecurrentNet(3, 1, 3, "layered"),
    "full, with time constants": RecurrentNet(3, 1, 2, "full", (0.0, 0.5, 0.9)),
    "simple, with time constants": RecurrentNet(3, 2, 2, "simple", (0.3, 0.95)),
    "layered, with a bias": RecurrentNet(3, 2, 2, "layered", bias=True),
}
STEPS = 6


class RecurrentProblem(NamedTuple):
    """A net, its weights and a sequence whose last step is padding, in double precision."""

    net: RecurrentNet
    weights: Weights
    sequence: SupervisedSequence

    def for_oracle(self) -> tuple:
        """Return weights, inputs, targets and the weights of the steps."""
        inputs, targets, at_steps, _ = self.sequence
        if inputs.ndim == 1:
            inputs = np.eye(self.net.num_inputs)[inputs]
        if self.net.bias:  # an input that is always 1
            inputs = np.column_stack([inputs, np.ones(len(inputs))])
        return self.weights._asdict(), inputs, targets, at_steps

    def tau(self) -> np.ndarray:
        return np.array(self.net.time_constants or (0.0,) * self.net.num_recurrent)


def make_recurrent_problem(
    net: RecurrentNet, *, seed: int = 0, symbols: bool = False
) -> RecurrentProblem:
    """Draw weights up to 2 in size, where units are far from linear."""
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(
        lambda shape: rng.uniform(-2, 2, shape),
        weight_shapes(net),
        is_leaf=lambda node: type(node) is tuple,
    )
    inputs = rng.normal(size=(STEPS, net.num_inputs))
    if symbols:
        inputs = rng.integers(0, net.num_inputs, STEPS)
    targets = rng.random((STEPS, net.num_outputs))
    at_steps = np.array([1.0, 0.5, 0, 1, 1, 0])
    return RecurrentProblem(net, weights, SupervisedSequence(inputs, targets, at_steps))


def as_weights(arrays: dict) -> Weights:
    return Weights(**arrays)
