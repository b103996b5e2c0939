"""What networks that have solved tasks 3a, 4 and 6a make of sequences unlike those of training.

The cell of 1997, a modern layer and a GRU have about the same number of weights and are trained
alike: by Adam after every sequence, with clipped gradients, until the rule of the task is met.
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
from experiments.claims.lags import sample_longer
from experiments.real.models import NETWORKS, REFERENCE, Model, of_size
from lstm_jax import (
    TrainingLoop,
    TrialRunner,
    UpdateRule,
    Vmapped,
    cross_entropy,
    half_squared_error,
    make_task,
)
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.task import Example

CELLS = 8  # of 1997
COMPARED = (REFERENCE, "modern layer", "GRU (2014)")
RATE, MAX_SEQUENCES = 0.01, 30_000
LENGTHS = (1_000, 10_000)  # T; that of training is 100
TESTS, LONG_TESTS = 256, 64  # sequences; of each of the lengths
OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE))


@dataclasses.dataclass(frozen=True)
class AdamRule(UpdateRule):
    """Adam after every sequence, for a network that is a function."""

    model: Model
    is_linear: bool  # outputs and squared error, instead of logistic ones and cross-entropy

    def init(self, key: jax.Array) -> tuple:
        weights = self.model.init(key)
        return weights, OPTIMISER.init(weights)

    def outputs(self, model: tuple, example: Example) -> jax.Array:
        return self._activate(self._net(model[0], example))

    def train_step(self, model: tuple, example: Example, n: jax.Array) -> tuple[tuple, jax.Array]:
        def loss(weights: object) -> tuple[jax.Array, jax.Array]:
            net = self._net(weights, example)
            of_net = half_squared_error if self.is_linear else cross_entropy
            return of_net(net, example.targets), self._activate(net)

        weights, state = model
        gradient, outputs = jax.grad(loss, has_aux=True)(weights)
        updates, state = OPTIMISER.update(gradient, state, weights)
        return (optax.apply_updates(weights, updates), state), outputs

    def _net(self, weights: object, example: Example) -> jax.Array:
        return self.model.net_inputs(weights, example.inputs, example.length, "end")

    def _activate(self, net: jax.Array) -> jax.Array:
        return net if self.is_linear else jax.nn.sigmoid(net)


class Variant(NamedTuple):
    """A row and a network."""

    row: str
    network: str

    @property
    def loop(self) -> TrainingLoop:
        """The loop that trains the network."""
        task = dataclasses.replace(make_task(self.row), max_sequences=MAX_SEQUENCES)
        sizes = task.architecture.num_inputs, task.architecture.num_outputs
        num_weights = NETWORKS[REFERENCE](sizes[0], CELLS, sizes[1]).num_weights
        model = of_size(NETWORKS[self.network], *sizes, num_weights)
        return TrainingLoop(task, Vmapped(AdamRule(model, is_linear=self.row == "4-100")))


def variants() -> dict[str, Variant]:
    """Test solved networks on other lags, noise, blanks, unseen distractors and lengths."""
    return {f"{row}, {name}": Variant(row, name) for row in ROWS for name in COMPARED}


def measure(variant: Variant, options: ClaimOptions) -> Document:
    """Train the trials and test those that are solved.

    Returns:
      `solved`, the number of solved trials; their `sequences`; `weights`, of a
      network; and `wrong`, for each change of the sequences the fraction of wrong ones by network.
    """
    loop = variant.loop
    results = TrialRunner(loop, range(options.trials), seed=options.seed).run()
    solved = [result for result in results if result.solved]
    rule = loop.update_rule
    assert isinstance(rule, Vmapped) and isinstance(rule.rule, AdamRule)
    test = _make_test(rule.rule, loop.task.is_correct)
    wrong = {
        label: [round(test(result.model, batch), 4) for result in solved]
        for label, batch in changed_sequences(variant.row, options.seed).items()
    }
    return {
        "solved": len(solved),
        "sequences": [result.sequences for result in solved],
        "weights": rule.rule.model.num_weights,
        "wrong": wrong,
    }


def _make_test(
    rule: AdamRule, is_correct: Callable[[jax.Array, Example], jax.Array]
) -> Callable[[tuple, Example], float]:
    @jax.jit
    def wrong(model: tuple, batch: Example) -> jax.Array:
        one = lambda example: is_correct(rule.outputs(model, example), example)
        return 1 - jax.vmap(one)(batch).mean()

    return lambda model, batch: float(wrong(model, batch))


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
        for i, name in enumerate(COMPARED):
            found = document["variants"][f"{row}, {name}"]
            colour = style.line_style(i)["color"]
            for y, values in enumerate(found["wrong"].values()):
                places = y + 0.25 * (i - 1) + np.linspace(-0.08, 0.08, len(values))
                axes.plot(values, places, "o", color=colour, alpha=0.5, ms=4)
            label = f"{name}: {found['solved']} of {document['trials']} solved"
            axes.plot([], [], "o", color=colour, label=label)
        axes.set(title=row, xlim=(-0.03, 1.03), xlabel="fraction of wrong sequences")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
    labels = [*document["variants"][f"{ROWS[0]}, {COMPARED[0]}"]["wrong"]]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    return figure
