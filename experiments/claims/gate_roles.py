"""Roles of the gates: networks that are set by hand and learned ones, with gates held constant.

The networks that are set by hand solve a task for reasons that can be read:

    3a     cell 1 counts the steps and shuts the input gate of cell 2 after the first one
    4      the marker opens the input gate, and values are so small that g and h are nearly linear
    6a     block 1 stores the first relevant symbol, and that it is full; this closes its own input
           gate and lets block 2 store the second one
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import ClaimOptions, name_lines
from experiments.claims.distractors import redraw
from lstm_jax import (
    Architecture,
    Parameters,
    Steps,
    Task,
    TrainingLoop,
    TrialRunner,
    apply,
    initialise,
    make_recipe,
    make_task,
    unroll,
)
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks.task import Example
from lstm_jax.tasks.temporal_order import SYMBOLS

RECIPES = {"3a-100-3": "paper", "4-100": "paper+linear-output", "6a": "paper"}
SEQUENCES = 256
OPEN, SHUT = 10.0, 40.0  # net inputs of a gate, and a weight that outdoes them
SMALL = 0.1  # of a value of task 4, so that g(x) is x and h(s) is s / 2
HELD = {  # the gates that are constant
    "as it is": None,
    "input gates constant": "input_gate",
    "output gates constant": "output_gate",
}


class Variant(NamedTuple):
    """A task and where its networks come from."""

    row: str
    origin: Literal["set by hand", "learned"]

    @property
    def task(self) -> Task:
        """The task by the recipe of its row."""
        return make_recipe(RECIPES[self.row]).apply(make_task(self.row))


def variants() -> dict[str, Variant]:
    """Hold gates constant in networks set by hand and in solved ones: what breaks?"""
    origins = ("set by hand", "learned")
    return {f"{row}, {origin}": Variant(row, origin) for row in RECIPES for origin in origins}


def measure(variant: Variant, options: ClaimOptions) -> Document:
    """Test the network set by hand, or those of all trials that have solved the task.

    Returns:
      `wrong`: for each key of `HELD` the fraction of wrong sequences by network; and `distractors`:
      the `distractor_share` by network with its initial weights, None if set by hand, and as
      tested, [2].
    """
    task = variant.task
    batch = task.sample_batch(jax.random.fold_in(jax.random.key(options.seed), 1), SEQUENCES)
    other = redraw(variant.row, batch, np.random.default_rng(options.seed))
    share = lambda network: round(distractor_share(task, network, batch, other), 4)
    if variant.origin == "set by hand":
        networks = [BY_HAND[variant.row](task.architecture)]
        before = [None]
    else:
        runner = TrialRunner(TrainingLoop(task), range(options.trials), seed=options.seed)
        initial = [result.model.parameters for result in runner.results()]
        solved = [result for result in runner.run() if result.solved]
        networks = [result.model.parameters for result in solved]
        before = [share(initial[result.index]) for result in solved]
    wrong = {
        label: [wrong_share(task, hold(task, network, batch, gate), batch) for network in networks]
        for label, gate in HELD.items()
    }
    return {"wrong": wrong, "distractors": [*zip(before, map(share, networks), strict=True)]}


def wrong_share(task: Task, network: Parameters, batch: Example) -> float:
    """Return the fraction of a batch's sequences that a network gets wrong."""
    outputs = jax.vmap(
        lambda x, n: apply(task.architecture, network, x, at="end", steps=Steps(length=n))[0]
    )(batch.inputs, batch.length)
    return 1 - float(jax.vmap(task.is_correct)(outputs, batch).mean())


def hold(task: Task, network: Parameters, batch: Example, gate: str | None) -> Parameters:
    """Return a network whose gates of a type have their mean activations at all steps.

    The mean is that over all real steps of a batch of sequences.
    """
    if gate is None:
        return network
    found = jax.vmap(lambda x, n: unroll(task.architecture, network, x, steps=Steps(length=n))[0])(
        batch.inputs, batch.length
    )
    is_real = np.arange(batch.inputs.shape[1]) < np.asarray(batch.length)[:, None]
    mean = jnp.mean(getattr(found, gate), axis=(0, 1), where=is_real[..., None])
    weights = jax.tree.map(jnp.zeros_like, getattr(network.layer, gate))
    weights = weights._replace(bias=jnp.log(mean) - jnp.log1p(-mean))
    return network._replace(layer=network.layer._replace(**{gate: weights}))


def distractor_share(task: Task, network: Parameters, batch: Example, other: Example) -> float:
    """Return how much of the final internal state is decided by distractors.

    Returns:
      The mean absolute change of a cell's final state if only the distractors are `other` ones,
      divided by its change from one sequence to the next: 0 if they leave no trace, and about 1 if
      they decide everything.
    """
    final = jax.vmap(
        lambda x, n: unroll(task.architecture, network, x, steps=Steps(length=n))[1].internal_state
    )
    state = final(batch.inputs, batch.length)
    changed = jnp.abs(final(other.inputs, other.length) - state).mean()
    return float(changed / jnp.abs(jnp.roll(state, 1, axis=0) - state).mean())


def set_two_sequence(architecture: Architecture) -> Parameters:
    """Return the network of task 3a: cell 2 stores the first input alone."""
    network = _empty(architecture)
    counter, store = 0, 1
    return _set(
        network,
        {
            "output_gate.bias": [OPEN] * 3,
            "input_gate.bias": [OPEN, OPEN, -OPEN],
            "input_gate.recurrent": {(_source(architecture, counter), store): -SHUT},
            "cell.bias": [OPEN, 0, 0],
            "cell.input": {(0, store): OPEN},
            "output.cell": {(store, 0): OPEN},
        },
    )


def set_adding(architecture: Architecture) -> Parameters:
    """Return the network of task 4: cell 1 adds the marked values, linear output."""
    per_value = SMALL / 2  # the cell's output for a value of 1, as h(s) is s / 2
    return _set(
        _empty(architecture),
        {
            "output_gate.bias": [OPEN] * 2,
            "input_gate.bias": [-OPEN] * 2,
            "input_gate.input": {(1, 0): 2 * OPEN},
            "cell.input": {(0, 0): SMALL},
            "output.cell": {(0, 0): 0.25 / per_value},
            "output.bias": [0.5],
        },
    )


def set_temporal_order(architecture: Architecture) -> Parameters:
    """Return the network of task 6a: cells 1 and 3 store X as 2 and Y as -2, cell 2 is full."""
    x, y = (SYMBOLS.index(symbol) for symbol in "XY")
    first, full, second = 0, 1, 2  # cells
    source = _source(architecture, full)
    signs = {first: (1, 1, -1, -1), second: (1, -1, 1, -1)}  # of XX, XY, YX, YY
    stores = {(symbol, cell): sign * OPEN for cell in signs for symbol, sign in ((x, 1), (y, -1))}
    return _set(
        _empty(architecture),
        {
            "output_gate.bias": [OPEN] * 2,
            "input_gate.bias": [-OPEN, -3 * OPEN],
            "input_gate.input": {(s, j): 2 * OPEN for s in (x, y) for j in (0, 1)},
            "input_gate.recurrent": {(source, 0): -SHUT, (source, 1): SHUT},
            "cell.input": stores | {(x, full): OPEN, (y, full): OPEN},
            "output.cell": {(c, k): sign * OPEN for c in signs for k, sign in enumerate(signs[c])},
            "output.bias": [-OPEN] * 4,
        },
    )


BY_HAND: dict[str, Callable[[Architecture], Parameters]] = {
    "3a-100-3": set_two_sequence,
    "4-100": set_adding,
    "6a": set_temporal_order,
}


def _empty(architecture: Architecture) -> Parameters:
    return jax.tree.map(jnp.zeros_like, initialise(jax.random.key(0), architecture))


def _source(architecture: Architecture, cell: int) -> int:
    """Return the row of a cell among the recurrent sources, which the gates precede."""
    return sum(architecture.sizes[:3]) + cell


def _set(
    network: Parameters, values: dict[str, list[float] | dict[tuple[int, int], float]]
) -> Parameters:
    """Set weights, given as a list of biases, or by (source, unit)."""
    for name, given in values.items():
        part, array = name.split(".")
        weights = network.output if part == "output" else getattr(network.layer, part)
        new = jnp.array(given) if isinstance(given, list) else getattr(weights, array)
        if isinstance(given, dict):
            for place, value in given.items():
                new = new.at[place].set(value)
        weights = weights._replace(**{array: new})
        if part == "output":
            network = network._replace(output=weights)
        else:
            network = network._replace(layer=network.layer._replace(**{part: weights}))
    return network


def draw(document: Document) -> style.Figure:
    """Draw the wrong sequences of every network, and what distractors leave in the states."""
    found = document["variants"]
    figure, (left, right) = style.new_figure(12, 1.2 + 0.9 * len(found), columns=2)
    lines = [
        (f"{label}, {held}", values)
        for label, of in found.items()
        for held, values in of["wrong"].items()
    ]
    for y, (_, values) in enumerate(lines):
        style_of = style.line_style(y % len(HELD))
        offsets = np.linspace(-0.25, 0.25, len(values))
        left.plot(values, y + offsets, "o", color=style_of["color"], alpha=0.5, ms=4)
    left.set_yticks(range(len(lines)), [label for label, _ in lines])
    left.set_ylim(len(lines) - 0.5, -0.5)
    left.set(xlabel="fraction of wrong sequences", xlim=(-0.03, 1.03))
    rows = []
    for label, of in found.items():
        before, after = zip(*of["distractors"], strict=True)
        for name, values in (("before learning", before), ("as tested", after)):
            if None not in values:
                rows.append((f"{label}, {name}", values))
    for y, (_, values) in enumerate(rows):
        offsets = np.linspace(-0.25, 0.25, len(values))
        right.plot(np.maximum(values, 1e-5), y + offsets, "o", color=style.OURS, alpha=0.5, ms=4)
    name_lines(right, [label for label, _ in rows])
    right.set_xlabel("change of the final states:\nby other distractors / by another sequence")
    return figure
