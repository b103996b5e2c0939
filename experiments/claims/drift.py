"""Internal state drift and the abuse problem (section 4), and the paper's remedies.

Drift: a state that takes in a little at every step moves away from 0 until h' is nearly 0. The
remedy is a negative bias of the input gates. Abuse: early in training, cells serve as biases of the
output units. The remedies are negative biases of the output gates, or sequential construction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims.base import ClaimOptions, Variants, draw_band, name_lines
from lstm_jax import Parameters, Steps, Task, TrainingLoop, TrialRunner, make_task, unroll
from lstm_jax.network.files import Document
from lstm_jax.plots import style
from lstm_jax.tasks import replace_architecture, replace_hyperparameters
from lstm_jax.tasks.task import TestRule

INPUT_GATE_BIASES = (0.0, -1.0, -2.0, -4.0, -6.0, -8.0)
ACTIVATIONS = {  # g, h
    "as printed": ("centred_2", "centred_1"),
    "g in [-1, 1], h linear": ("centred_1", "identity"),
    "g and h tanh": ("tanh", "tanh"),
}
SEQUENCES = 64  # over which states are measured
TRACED = ("0", "-4")  # input gate biases of the picture


def variants() -> Variants:
    """Compare input gate biases, activations and output gate biases: drift and abuse."""
    tasks: dict[str, Task] = {}
    for row in ("6a", "3a-100-3"):
        for bias in INPUT_GATE_BIASES:
            biased = _with_bias(make_task(row), "input_gate_bias", bias)
            tasks[f"{row}, input gate bias {bias:g}"] = biased
    for label, (g, h) in ACTIVATIONS.items():
        changed = replace_architecture(make_task("6a"), cell_input=g, cell_output=h)
        for bias in (0.0, -4.0):
            biased = _with_bias(changed, "input_gate_bias", bias)
            tasks[f"6a, {label}, input gate bias {bias:g}"] = biased
    for row in ("3a-100-3", "6a"):
        task = replace_hyperparameters(make_task(row), output_gate_bias=None)
        tasks[f"{row}, output gate bias random"] = task
        tasks[f"{row}, output gate bias -2"] = _with_bias(task, "output_gate_bias", -2.0)
        tasks[f"{row}, output gate bias random, construction"] = _constructed(task)
    return {label: TrainingLoop(task) for label, task in tasks.items()}


def _with_bias(task: Task, name: str, bias: float) -> Task:
    return replace_hyperparameters(task, **{name: (bias,) * task.architecture.num_blocks})


def _constructed(task: Task) -> Task:
    interval = task.rule.interval if isinstance(task.rule, TestRule) else 1_000
    return dataclasses.replace(task, sequential_construction=True, construction_interval=interval)


def measure(loop: TrainingLoop, options: ClaimOptions) -> Document:
    """Train all trials, and measure their states and outputs at the ends of sequences.

    Returns:
      `solved`, the number of solved trials; their `sequences`, None for others; `state` and
      `output`, the mean |s_c| and |y_c| after a sequence's last step, [R], by trained networks; and
      `trace`, the `band` over trials of the mean |s_c| at every step.
    """
    runner = TrialRunner(loop, range(options.trials), seed=options.seed)
    results = runner.run()
    batch = loop.task.sample_batch(jax.random.key(options.seed), SEQUENCES)
    is_last = jnp.arange(batch.inputs.shape[1]) == batch.length[:, None] - 1

    @jax.jit
    def look(parameters: Parameters) -> tuple[jax.Array, jax.Array, jax.Array]:
        run = lambda x, length: unroll(
            loop.task.architecture, parameters, x, steps=Steps(length=length)
        )[0]
        found = jax.vmap(run)(batch.inputs, batch.length)
        state, output = jnp.abs(found.internal_state), jnp.abs(found.cell_output)
        at_end = lambda values: jnp.where(is_last[..., None], values, 0).sum(1).mean()
        return at_end(state), at_end(output), state.mean((0, 2))

    looks = [look(result.model.parameters) for result in results]
    state, output, trace = (
        np.array([np.asarray(one[i], float) for one in looks]) for i in range(3)
    )
    return {
        "solved": sum(result.solved for result in results),
        "sequences": [result.sequences if result.solved else None for result in results],
        "state": np.round(state, 3).tolist(),
        "output": np.round(output, 4).tolist(),
        "trace": np.round(np.quantile(trace, (0, 0.5, 1), axis=0).T, 3).tolist(),
    }


def draw(document: Document) -> style.Figure:
    """Draw the sequences until success by variant, and states along sequences of task 6a."""
    found = document["variants"]
    figure, (left, right) = style.new_figure(13, 1.2 + 0.28 * len(found), columns=2)
    _draw_counts(left, found, document["trials"])
    for i, bias in enumerate(TRACED):
        trace = found[f"6a, input gate bias {bias}"]["trace"]
        line = {"color": style.LINES[i]}
        draw_band(right, range(1, len(trace) + 1), trace, f"input gate bias {bias}", line)
    right.set(xlabel="step of a sequence of 6a", ylabel="mean |s_c| of trained networks")
    style.add_legend(right)
    return figure


def _draw_counts(axes: style.Axes, found: Mapping[str, Document], trials: int) -> None:
    labels = []
    for y, (label, of) in enumerate(found.items()):
        counts = [n for n in of["sequences"] if n]
        axes.plot(counts, [y] * len(counts), "o", color=style.OURS, alpha=0.4, ms=4)
        labels.append(f"{label}: {of['solved']} of {trials}")
    name_lines(axes, labels)
    axes.set_xlabel("training sequences until success")
