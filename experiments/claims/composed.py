"""What is composed of networks: two directions where one cannot do, attention where the end cannot.

Both tasks are learned from batches by Adam, with the truncated gradient.

    echo      at every step of a row of random bits, the bit before and the next one
    recall    pairs of a key and a value, then a key again: its value; by the cells at the end
              alone, or by what attention reads, asked by these cells, of all steps
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import Settings
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import initialise
from lstm_jax.cell.scan import Steps
from lstm_jax.network.attention import DotProductAttention, dot_product_attention
from lstm_jax.network.bidirectional import bidirectional
from lstm_jax.network.files import Document
from lstm_jax.network.layer import RunOptions, unroll
from lstm_jax.network.losses import cross_entropy
from lstm_jax.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH, RATE, CHUNK = 32, 0.01, 50  # sequences an update; of Adam; updates between two tests
UPDATES = {"echo": 500, "recall": 4_000}
STEPS, DISTANCE = 20, 1  # of echo
PAIRS, VALUES, CELLS = 12, 4, 16  # of recall
TESTS = 256

Read = Callable[[Any, jax.Array], jax.Array]


class Model(NamedTuple):
    """What learns: pure functions for one sequence."""

    task: str
    """A key of `UPDATES`."""
    sample: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    """A key to inputs [T, I] and targets, [K] or [T, K]."""
    init: Callable[[jax.Array], Any]
    """A key to weights."""
    net: Read
    """(weights, inputs) to the net inputs of logistic output units, shaped as the targets."""


def run(settings: Settings) -> Document:
    """How often each model is wrong, as it learns."""
    found = {}
    for label, model in models().items():
        found[label] = one = learn(model, settings)
        wrong = np.median(one["wrong"][-1])
        settings.say(f"{label}: {wrong:.1%} wrong after {one['updates'][-1]} updates")
    return {"trials": settings.trials, "batch": BATCH, "variants": found}


def models() -> dict[str, Model]:
    """Each task by what cannot solve it, and by what can."""
    return {
        "echo, forward": echo("forward"),
        "echo, backward": echo("backward"),
        "echo, both": echo("both"),
        "recall, by the end": recall(attention=False),
        "recall, by attention": recall(attention=True),
    }


def learn(model: Model, settings: Settings) -> Document:
    """Trains the trials side by side.

    Returns:
      `task`, `updates` and, of each trial then, `wrong`: the fraction of test steps (echo) or
      sequences (recall) of which not all targets are met.
    """
    optimiser = optax.adam(RATE)
    keys = jax.random.split(jax.random.key(settings.seed), settings.trials)
    weights = jax.vmap(model.init)(keys)
    state = jax.vmap(optimiser.init)(weights)

    def loss(weights: Any, batch: tuple) -> jax.Array:
        nets = jax.vmap(model.net, (None, 0))(weights, batch[0])
        return jax.vmap(cross_entropy)(nets, batch[1]).mean()

    def update(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        weights, state = carry
        batch = jax.vmap(model.sample)(jax.random.split(key, BATCH))
        updates, state = optimiser.update(jax.grad(loss)(weights, batch), state)
        return (optax.apply_updates(weights, updates), state), None

    @jax.jit
    @jax.vmap
    def cell_step(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        training, testing = jax.random.split(key)
        carry, _ = jax.lax.scan(update, carry, jax.random.split(training, CHUNK))
        return carry, _fraction_wrong(model, carry[0], testing)

    carry, wrong = (weights, state), []
    for chunk in range(UPDATES[model.task] // CHUNK):
        now = jax.vmap(lambda key, chunk=chunk: jax.random.fold_in(key, chunk))(keys)
        carry, found = cell_step(carry, now)
        wrong.append(np.round(np.asarray(found, float), 4).tolist())
    return {
        "task": model.task,
        "updates": [CHUNK * (n + 1) for n in range(len(wrong))],
        "wrong": wrong,
    }


def _fraction_wrong(model: Model, weights: Any, key: jax.Array) -> jax.Array:
    inputs, targets = jax.vmap(model.sample)(jax.random.split(key, TESTS))
    nets = jax.vmap(model.net, (None, 0))(weights, inputs)
    return jnp.any((nets > 0) != (targets > 0.5), axis=-1).mean()


def echo(directions: str) -> Model:
    """Bits of before and after, by one network or by two.

    Args:
      directions: "forward", "backward" or "both".
    """
    both = directions == "both"
    blocks = (1,) * (6 if both else 12)  # what they hear of is soon to be forgotten
    architecture = Architecture(1, blocks, 2, cell_input="tanh", forget_gates=True)

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        bits = jax.random.bernoulli(key, shape=(STEPS + 2 * DISTANCE,)).astype(jnp.float32)
        targets = jnp.stack([bits[: -2 * DISTANCE], bits[2 * DISTANCE :]], axis=1)
        # All bits are there to be seen; only the middle ones are asked about.
        return 2 * bits[:, None] - 1, targets

    def init(key: jax.Array) -> Any:
        first, second, third = jax.random.split(key, 3)
        networks = [initialise(k, architecture, init_range=0.3) for k in (first, second)]
        readout = 0.3 * jax.random.normal(third, (12, 2))
        return (networks if both else networks[:1]), readout, jnp.zeros(2)

    def net(weights: Any, inputs: jax.Array) -> jax.Array:
        networks, readout, bias = weights
        if both:
            activations, _ = bidirectional(architecture, networks[0], networks[1], inputs)
        else:
            reverse = directions == "backward"
            activations, _ = unroll(
                architecture, networks[0], inputs, options=RunOptions(reverse=reverse)
            )
        return (activations.cell_output @ readout + bias[None])[DISTANCE:-DISTANCE]

    return Model("echo", sample, init, net)


def recall(*, attention: bool) -> Model:
    """The value of a key, read at the end or by attention."""
    architecture = Architecture(PAIRS + VALUES, (1,) * CELLS, VALUES, cell_input="tanh")

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        first, second, third = jax.random.split(key, 3)
        keys = jax.random.permutation(first, PAIRS)
        values = jax.random.randint(second, (PAIRS,), 0, VALUES)
        asked = jax.random.randint(third, (), 0, PAIRS)
        pairs = jnp.concatenate([jax.nn.one_hot(keys, PAIRS), jax.nn.one_hot(values, VALUES)], 1)
        query = jnp.concatenate([jax.nn.one_hot(keys[asked], PAIRS), jnp.zeros(VALUES)])
        return jnp.concatenate([pairs, query[None]]), jax.nn.one_hot(values[asked], VALUES)

    def init(key: jax.Array) -> Any:
        first, second, third, fourth = jax.random.split(key, 4)
        draw = lambda key, *shape: 0.3 * jax.random.normal(key, shape)
        scores = DotProductAttention(draw(third, CELLS, CELLS), draw(fourth, CELLS, CELLS))
        readout = draw(second, 2 * CELLS, VALUES)
        return initialise(first, architecture, init_range=0.3), scores, readout, jnp.zeros(VALUES)

    def net(weights: Any, inputs: jax.Array) -> jax.Array:
        network, scores, readout, bias = weights
        activations, final = unroll(architecture, network, inputs)
        end, steps = final.cell_output, activations.cell_output
        seen = jnp.zeros_like(end)
        if attention:
            seen = dot_product_attention(scores, end, steps, steps=Steps(length=PAIRS)).context
        return jnp.concatenate([end, seen]) @ readout + bias

    return Model("recall", sample, init, net)


def draw(document: Document) -> Figure:
    """The fraction of wrong ones against the updates, a panel a task; a thin line is a trial."""
    figure, panels = style.new_figure(11, 4.5, columns=2)
    for axes, (task, (title, told)) in zip(panels, _TOLD.items(), strict=True):
        of_task = {k: v for k, v in document["variants"].items() if v["task"] == task}
        for i, (label, found) in enumerate(of_task.items()):
            color, wrong = style.line_style(i)["color"], np.asarray(found["wrong"])
            axes.plot(found["updates"], wrong, color=color, alpha=0.35, linewidth=0.8)
            name = label.removeprefix(f"{task}, ")
            axes.plot(found["updates"], np.median(wrong, 1), color=color, linewidth=2.5, label=name)
        axes.set(title=title, xlabel="updates", ylabel=told, ylim=(-0.02, 1.02))
        style.with_thousands(axes)
        style.add_legend(axes, loc="best")
    return figure


_TOLD = {
    "echo": ("echo: the bit before and the next one", "wrong steps"),
    "recall": (f"recall: the value of one of {PAIRS} keys", "wrong sequences"),
}
