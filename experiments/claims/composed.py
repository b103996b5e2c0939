"""Compositions of networks: two directions, and attention.

Both tasks are learned from batches with Adam and the truncated gradient.

    echo      at every step of a sequence of random bits, the previous bit and the next one
    recall    pairs of a key and a value, then one of the keys again: its value, from the cells at
              the end alone, or from all steps by attention with the cells at the end as the query
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.claims.base import ClaimOptions
from lstm_jax import Architecture, Steps, cross_entropy, initialise
from lstm_jax.network.attention import DotProductAttention, dot_product_attention
from lstm_jax.network.files import Document
from lstm_jax.network.layer import bidirectional, unroll
from lstm_jax.network.run import RunOptions
from lstm_jax.plots import style
from lstm_jax.training.update_rules.base import AnyModel

BATCH, LEARNING_RATE, CHUNK = 32, 0.01, 50  # sequences per update; updates between tests
UPDATES = {"echo": 500, "recall": 4_000}
STEPS, DISTANCE = 20, 1  # of echo
PAIRS, VALUES, CELLS = 12, 4, 16  # of recall
TESTS = 256


class Model(NamedTuple):
    """A task and a network, as pure functions for one sequence."""

    task: str  # a key of `UPDATES`
    sample: Callable[[jax.Array], tuple[jax.Array, jax.Array]]  # inputs, targets
    init: Callable[[jax.Array], AnyModel]  # a key to weights
    net: Callable[[AnyModel, jax.Array], jax.Array]  # net inputs of logistic outputs


def models() -> dict[str, Model]:
    """Compose networks: two directions where one fails, attention where the last step fails."""
    return {
        **{f"echo, {name}": echo(name) for name in ("forward", "backward", "both")},
        "recall, by the end": recall(attention=False),
        "recall, by attention": recall(attention=True),
    }


def train(model: Model, options: ClaimOptions) -> Document:
    """Train the trials side by side.

    Returns:
      `task`, `updates` and, for each trial then, `wrong`: the fraction of test steps (echo) or
      sequences (recall) in which a target is missed; `wrong_at_end`, the median of the last ones.
    """
    optimiser = optax.adam(LEARNING_RATE)
    keys = jax.random.split(jax.random.key(options.seed), options.trials)
    weights = jax.vmap(model.init)(keys)
    carry = weights, jax.vmap(optimiser.init)(weights)

    def loss(weights: AnyModel, batch: tuple) -> jax.Array:
        nets = jax.vmap(model.net, (None, 0))(weights, batch[0])
        return jax.vmap(cross_entropy)(nets, batch[1]).mean()

    def update(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        weights, state = carry
        batch = jax.vmap(model.sample)(jax.random.split(key, BATCH))
        updates, state = optimiser.update(jax.grad(loss)(weights, batch), state)
        return (optax.apply_updates(weights, updates), state), None

    @jax.jit
    @jax.vmap
    def train_chunk(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        training, testing = jax.random.split(key)
        carry, _ = jax.lax.scan(update, carry, jax.random.split(training, CHUNK))
        inputs, targets = jax.vmap(model.sample)(jax.random.split(testing, TESTS))
        nets = jax.vmap(model.net, (None, 0))(carry[0], inputs)
        return carry, jnp.any((nets > 0) != (targets > 0.5), axis=-1).mean()

    wrong = []
    for chunk in range(UPDATES[model.task] // CHUNK):
        chunk_keys = jax.vmap(lambda key, chunk=chunk: jax.random.fold_in(key, chunk))(keys)
        carry, found = train_chunk(carry, chunk_keys)
        wrong.append(np.round(np.asarray(found, float), 4).tolist())
    updates = [CHUNK * (n + 1) for n in range(len(wrong))]
    at_end = float(np.median(wrong[-1]))
    return {"task": model.task, "updates": updates, "wrong": wrong, "wrong_at_end": at_end}


def echo(directions: str) -> Model:
    """Return the model of echo, with `directions` "forward", "backward" or "both"."""
    both = directions == "both"
    blocks = (1,) * (6 if both else 12)
    architecture = Architecture(1, blocks, 2, cell_input="tanh", forget_gates=True)

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        bits = jax.random.bernoulli(key, shape=(STEPS + 2 * DISTANCE,)).astype(jnp.float32)
        targets = jnp.stack([bits[: -2 * DISTANCE], bits[2 * DISTANCE :]], axis=1)
        return 2 * bits[:, None] - 1, targets  # of the middle bits

    def init(key: jax.Array) -> AnyModel:
        first, second, third = jax.random.split(key, 3)
        networks = [initialise(k, architecture, init_range=0.3) for k in (first, second)]
        readout = 0.3 * jax.random.normal(third, (12, 2))
        return (networks if both else networks[:1]), readout, jnp.zeros(2)

    def net(weights: AnyModel, inputs: jax.Array) -> jax.Array:
        networks, readout, bias = weights
        if both:
            activations, _ = bidirectional(architecture, networks[0], networks[1], inputs)
        else:
            run_options = RunOptions(reverse=directions == "backward")
            activations, _ = unroll(architecture, networks[0], inputs, options=run_options)
        return (activations.cell_output @ readout + bias[None])[DISTANCE:-DISTANCE]

    return Model("echo", sample, init, net)


def recall(*, attention: bool) -> Model:
    """Return the model of the value of a key, read at the end or by attention."""
    architecture = Architecture(PAIRS + VALUES, (1,) * CELLS, VALUES, cell_input="tanh")

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        first, second, third = jax.random.split(key, 3)
        keys = jax.random.permutation(first, PAIRS)
        values = jax.random.randint(second, (PAIRS,), 0, VALUES)
        queried = jax.random.randint(third, (), 0, PAIRS)
        pairs = jnp.concatenate([jax.nn.one_hot(keys, PAIRS), jax.nn.one_hot(values, VALUES)], 1)
        query = jnp.concatenate([jax.nn.one_hot(keys[queried], PAIRS), jnp.zeros(VALUES)])
        return jnp.concatenate([pairs, query[None]]), jax.nn.one_hot(values[queried], VALUES)

    def init(key: jax.Array) -> AnyModel:
        first, second, third, fourth = jax.random.split(key, 4)
        draw = lambda key, *shape: 0.3 * jax.random.normal(key, shape)
        scores = DotProductAttention(draw(third, CELLS, CELLS), draw(fourth, CELLS, CELLS))
        readout = draw(second, 2 * CELLS, VALUES)
        return initialise(first, architecture, init_range=0.3), scores, readout, jnp.zeros(VALUES)

    def net(weights: AnyModel, inputs: jax.Array) -> jax.Array:
        network, scores, readout, bias = weights
        activations, final = unroll(architecture, network, inputs)
        end, steps = final.cell_output, activations.cell_output
        context = jnp.zeros_like(end)
        if attention:
            context = dot_product_attention(scores, end, steps, steps=Steps(length=PAIRS)).context
        return jnp.concatenate([end, context]) @ readout + bias

    return Model("recall", sample, init, net)


def draw(document: Document) -> style.Figure:
    """Draw the fraction of wrong steps or sequences against the updates, one panel per task.

    Thin lines are trials, thick ones their medians.
    """
    figure, panels = style.new_figure(11, 4.5, columns=2)
    labels = {
        "echo": ("echo: the bit before and the next one", "wrong steps"),
        "recall": (f"recall: the value of one of {PAIRS} keys", "wrong sequences"),
    }
    for axes, (task, (title, ylabel)) in zip(panels, labels.items(), strict=True):
        of_task = {k: v for k, v in document["variants"].items() if v["task"] == task}
        for i, (label, found) in enumerate(of_task.items()):
            color, wrong = style.line_style(i)["color"], np.asarray(found["wrong"])
            axes.plot(found["updates"], wrong, color=color, alpha=0.35, linewidth=0.8)
            name = label.removeprefix(f"{task}, ")
            axes.plot(found["updates"], np.median(wrong, 1), color=color, linewidth=2.5, label=name)
        axes.set(title=title, xlabel="updates", ylabel=ylabel, ylim=(-0.02, 1.02))
        style.format_counts(axes)
        style.add_legend(axes, loc="best")
    return figure
