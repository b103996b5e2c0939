"""Tests of solved networks of tasks 3a, 4 and 6a on sequences unlike those of training.

The networks of 1997 and the modern ones are those of recipes. A GRU has about the same number of
weights as the network of 1997, and is trained as the recipes `adam` and `modern` train theirs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.claims.base import ClaimOptions
from experiments.claims.distractors import CHANGES, ROWS, as_reals
from experiments.claims.gate_roles import RECIPES
from experiments.claims.lags import sample_longer
from experiments.real.models import GRUWeights, Model, gru_net_inputs, make_gru
from lstm_jax import (
    Steps,
    Task,
    TrainingLoop,
    TrialRunner,
    UpdateRule,
    Vmapped,
    apply,
    cross_entropy,
    half_squared_error,
    make_recipe,
    make_task,
)
from lstm_jax.network.files import Document
from lstm_jax.network.optimisers import make_optimiser
from lstm_jax.plots import style
from lstm_jax.tasks.task import Example
from lstm_jax.training.update_rules.base import AnyModel

GRU = "GRU (2014)"
NETWORKS = {  # the recipes of the networks, by row
    "1997": RECIPES,
    "1997, `adam`": dict.fromkeys(ROWS, "adam"),
    "`modern`": dict.fromkeys(ROWS, "modern"),
    GRU: dict.fromkeys(ROWS, ""),
}
LENGTHS = (1_000, 10_000)  # T; that of training is 100
TESTS, LONG_TESTS = 256, 64  # sequences; of each of the lengths
MAX_SEQUENCES = 200_000
OPTIMISER = make_optimiser("adam_inverse_sqrt", 0.01)

GRUModel = tuple[AnyModel, optax.OptState]
Outputs = Callable[[AnyModel, Example], jax.Array]


@dataclasses.dataclass(frozen=True)
class GRURule(UpdateRule):
    """Adam on the full gradient of every sequence.

    Attributes:
      task: the task; its architecture gives the sizes.
      is_linear: whether outputs are linear, with the squared error, and not logistic.
    """

    task: Task
    is_linear: bool

    def init(self, key: jax.Array) -> GRUModel:
        """Draw the weights."""
        weights = self.make().init(key)
        return weights, OPTIMISER.init(weights)

    def make(self) -> Model[GRUWeights]:
        """Return the GRU whose number of weights is nearest to that of the task's network."""
        net = self.task.architecture
        makes = [make_gru(net.num_inputs, units, net.num_outputs) for units in range(2, 12)]
        return min(makes, key=lambda one: abs(one.num_weights - net.num_weights))

    def outputs(self, model: GRUModel, example: Example) -> jax.Array:
        """Return the outputs at the end, [K]."""
        return self._activate(self._net(model[0], example))

    def train_step(
        self, model: GRUModel, example: Example, n: jax.Array
    ) -> tuple[GRUModel, jax.Array]:
        """Update the weights by one sequence."""

        def loss(weights: GRUWeights) -> tuple[jax.Array, jax.Array]:
            net = self._net(weights, example)
            of_net = half_squared_error if self.is_linear else cross_entropy
            return of_net(net, example.targets), self._activate(net)

        weights, state = model
        gradient, outputs = jax.grad(loss, has_aux=True)(weights)
        updates, state = OPTIMISER.update(gradient, state, weights)
        return (optax.apply_updates(weights, updates), state), outputs

    def _net(self, weights: GRUWeights, example: Example) -> jax.Array:
        return gru_net_inputs(weights, example.inputs, example.length, "end")

    def _activate(self, net: jax.Array) -> jax.Array:
        return net if self.is_linear else jax.nn.sigmoid(net)


class Variant(NamedTuple):
    """A row, a network of `NETWORKS` and what its outputs are."""

    row: str
    network: str

    def loop(self) -> tuple[TrainingLoop, Outputs, int]:
        """Return what trains the network, its outputs at the end, and its number of weights."""
        task = dataclasses.replace(make_task(self.row), max_sequences=MAX_SEQUENCES)
        if self.network == GRU:
            rule = GRURule(task, is_linear=self.row == "4-100")
            return TrainingLoop(task, Vmapped(rule)), rule.outputs, rule.make().num_weights
        task = make_recipe(NETWORKS[self.network][self.row]).apply(task)
        net = task.architecture

        def outputs(model: AnyModel, example: Example) -> jax.Array:
            steps = Steps(length=example.length)
            return apply(net, model.parameters, example.inputs, at="end", steps=steps)[0]

        return TrainingLoop(task), outputs, net.num_weights


def variants() -> dict[str, Variant]:
    """Test solved networks on other lags, noise, blanks, unseen distractors and lengths."""
    return {f"{row}, {name}": Variant(row, name) for row in ROWS for name in NETWORKS}


def measure(variant: Variant, options: ClaimOptions) -> Document:
    """Train the trials and test those that are solved.

    Returns:
      `solved`, the number of solved trials; their `sequences`; `weights`, of a network; and
      `wrong`, for each change of the sequences the fraction of wrong ones by network.
    """
    loop, outputs, num_weights = variant.loop()
    results = TrialRunner(loop, range(options.trials), seed=options.seed).run()
    solved = [result for result in results if result.solved]

    @jax.jit
    def wrong_share(model: AnyModel, batch: Example) -> jax.Array:
        is_correct = lambda example: loop.task.is_correct(outputs(model, example), example)
        return 1 - jax.vmap(is_correct)(batch).mean()

    wrong = {
        label: [round(float(wrong_share(result.model, batch)), 4) for result in solved]
        for label, batch in changed_sequences(variant.row, options.seed).items()
    }
    sequences = [result.sequences for result in solved]
    return {"solved": len(solved), "sequences": sequences, "weights": num_weights, "wrong": wrong}


def changed_sequences(row: str, seed: int) -> dict[str, Example]:
    """Return fresh sequences of a row, changed in each way."""
    key, generator = jax.random.key(seed), np.random.default_rng(seed)
    batch = make_task(row).sample_batch(jax.random.fold_in(key, 1), TESTS)
    found = {label: change(row, batch, generator) for label, change in CHANGES.items()}
    for length in LENGTHS:
        keys = jax.random.split(jax.random.fold_in(key, length), LONG_TESTS)
        longer = jax.vmap(lambda key, length=length: sample_longer(key, row, length))(keys)
        found[f"T = {length:,}"] = as_reals(row, longer)
    return found


def draw(document: Document) -> style.Figure:
    """Draw the wrong sequences of every solved network, a panel per task."""
    figure, panels = style.new_figure(13, 4.6, 1, len(ROWS), sharey=True)
    for axes, row in zip(panels, ROWS, strict=True):
        for i, name in enumerate(NETWORKS):
            found = document["variants"][f"{row}, {name}"]
            colour = style.line_style(i)["color"]
            for y, values in enumerate(found["wrong"].values()):
                places = y + 0.2 * (i - 1.5) + np.linspace(-0.07, 0.07, len(values))
                axes.plot(values, places, "o", color=colour, alpha=0.5, ms=4)
            label = f"{name.replace('`', '')}: {found['solved']} of {document['trials']} solved"
            axes.plot([], [], "o", color=colour, label=label)
        axes.set(title=row, xlim=(-0.03, 1.03), xlabel="fraction of wrong sequences")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
    labels = [*document["variants"][f"{ROWS[0]}, {GRU}"]["wrong"]]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    return figure
