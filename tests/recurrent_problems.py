"""Recurrent nets, sequences for them, and their conversion for the NumPy oracle."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.baselines.fully_recurrent import (
    RecurrentNet,
    StepGradient,
    SupervisedSequence,
    Weights,
    as_vectors,
    weight_shapes,
)
from lstm_jax.baselines.gradient_descent import SequenceGradient

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
LAST = 4  # the last step that counts


class RecurrentProblem(NamedTuple):
    """A net, its weights and a sequence whose last step is padding, in double precision."""

    net: RecurrentNet
    weights: Weights
    sequence: SupervisedSequence

    def for_oracle(self) -> tuple:
        """Weights, inputs, targets, the weights of steps and the time constants."""
        inputs, targets, at_steps, _ = self.sequence
        if inputs.ndim == 1:
            inputs = np.eye(self.net.num_inputs)[inputs]
        if self.net.bias:  # an input that is always 1
            inputs = np.column_stack([inputs, np.ones(len(inputs))])
        tau = np.array(self.net.time_constants or (0.0,) * self.net.num_recurrent)
        return self.weights._asdict(), inputs, targets, at_steps, tau


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


def offline(gradient: StepGradient) -> SequenceGradient:
    """The sum of all steps' gradients, with the weights left as they are."""

    def sum_of_steps(
        net: RecurrentNet, weights: Weights, sequence: SupervisedSequence
    ) -> tuple[Weights, jax.Array]:
        def body(carry: tuple, sequence_t: SupervisedSequence) -> tuple[tuple, jax.Array]:
            carried, total = carry
            carried, new, outputs = gradient.step(net, weights, carried, sequence_t)
            return (carried, jax.tree.map(jnp.add, total, new)), outputs

        inputs = as_vectors(net, sequence.inputs, weights.input.dtype)
        start = (gradient.init(weights), jax.tree.map(jnp.zeros_like, weights))
        (_, total), outputs = jax.lax.scan(body, start, sequence._replace(inputs=inputs))
        return total, outputs

    return sum_of_steps


def as_weights(arrays: dict) -> Weights:
    return Weights(**arrays)
