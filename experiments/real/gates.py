"""A picture of a 1997 network at work on a test sequence: when it stores, keeps, reads and decides.

    python -m experiments.real.gates --data=sunspots --out=DIR
    python -m experiments.real.gates --data=chorales --out=DIR

Reads real.DATA.safetensors in --out, which `experiments.real` has written, and writes
real.DATA.gates.png: gates, states and each cell's part in the decision, step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from absl.flags import FlagValues

import lstm_jax as lstm
from experiments.cli.command import Command, FlagSet, check_platform, configure
from experiments.cli.files import check_free, make_folder, save_picture
from experiments.own_data.tasks import Part
from experiments.real import DOMAINS
from experiments.real.base import Data
from lstm_jax import Activations, Architecture, Parameters
from lstm_jax.plots import style

MAX_STEPS = 40
PANELS = (("stores", "input gate", "Blues"), ("keeps", "internal state", "RdBu_r"))
PANELS += (("reads", "output gate", "Blues"), ("says", "part in the decision", "RdBu_r"))


class Work(NamedTuple):
    """A network on a sequence; the cells in the order of their part in the decision.

    Attributes:
      activations: of every step.
      parts: [T, C], what each cell adds to the decision if the sequence ended at a step.
      order: [C] the cells.
      shares: [C] the size of each cell's part in the decision, with the sum 1.
    """

    activations: Activations
    parts: np.ndarray
    order: np.ndarray
    shares: np.ndarray


def decompose(
    net: Architecture, parameters: Parameters, inputs: np.ndarray, target: np.ndarray
) -> Work:
    """Divide the net input of the target's output unit among the cells.

    Of several classes it is the target's net input less the mean of all. `target` is a number, a
    class, or a class for every step; with one for every step the shares are means over steps.
    """
    activations, _ = lstm.unroll(net, parameters, inputs)
    weights = np.asarray(parameters.output.cell)
    if net.num_outputs > 1:
        centred = weights - weights.mean(1, keepdims=True)
        weights = centred[:, np.broadcast_to(target, len(inputs))]
    parts = np.asarray(activations.cell_output) * weights.T
    decisive = np.abs(parts if np.ndim(target) and net.num_outputs > 1 else parts[-1:]).mean(0)
    return Work(activations, parts, np.argsort(-decisive), decisive / decisive.sum())


def draw(work: Work, inputs: np.ndarray, title: str, start: int) -> style.Figure:
    """Draw the inputs and, as shades of cells by steps, the gates, the states and the decision.

    Of symbols, `start` is the one before the first, which has no place among the others.
    """
    size = 9.5, 2.2 + 4 * (0.5 + 0.11 * len(work.order))
    ratios = {"height_ratios": (1.6, 1, 1, 1, 1), "width_ratios": (6, 1)}
    figure, axes = style.new_figure(*size, 5, 2, sharey="row", sharex="col", **ratios)
    figure.suptitle(title)
    shown = inputs if inputs.ndim > 1 else np.where(inputs == start, np.nan, inputs)
    axes[0].plot(shown, color=style.BLACK, marker=".", lw=1)
    axes[0].set_ylabel("inputs, scaled" if inputs.ndim > 1 else "symbols")
    activations = work.activations
    gates = activations.input_gate, activations.internal_state, activations.output_gate
    values = *gates, work.parts
    for row, (verb, name, colours) in enumerate(PANELS, 1):
        panel, shades = axes[2 * row], np.asarray(values[row - 1]).T[work.order]
        largest = 1.0 if colours == "Blues" else np.abs(shades).max()
        least = 0.0 if colours == "Blues" else -largest
        panel.grid(False)
        image = panel.imshow(shades, cmap=colours, vmin=least, vmax=largest, aspect="auto")
        panel.set_ylabel(f"{verb}\n({name})", fontsize=9)
        panel.set_yticks([])
        figure.colorbar(image, ax=panel, pad=0.01, aspect=8)
        axes[2 * row + 1].set_visible(row == 4)
    axes[1].set_visible(False)
    axes[9].barh(range(len(work.order)), 100 * work.shares[work.order], color=style.BLUE)
    axes[9].set_xlabel("share, %")
    axes[8].set_xlabel("step; cells in the order of their share in the decision")
    axes[8].locator_params(axis="x", integer=True)
    return figure


def example(part: Part, data: Data) -> int:
    """Return the index of a sequence to draw: the one with the largest number, or the first."""
    is_number = data.prepared.num_outputs == 1
    return int(np.argmax(np.ravel(part.targets))) if is_number else 0


def define(flags: FlagSet) -> None:
    """Define the flags."""
    flags.choice("data", None, list(DOMAINS), "The domain (required).")
    flags.output("the picture, beside the network")


def main(values: FlagValues) -> None:
    """Draw the network of a domain."""
    network = values.out / f"real.{values.data}.safetensors"
    picture = network.with_suffix(".gates.png")
    check_free(picture, values.overwrite)
    if not network.exists():
        raise ValueError(f"--out must have {network.name}, which experiments.real writes")
    configure()
    check_platform()
    domain = DOMAINS[values.data]
    data = domain.load(values.out)
    test = data.prepared.parts[2]
    number = example(test, data)
    inputs, target = test.inputs[number][:MAX_STEPS], test.targets[number]
    target = target[:MAX_STEPS] if data.prepared.per_step else target
    work = decompose(*lstm.load(network), inputs, target)
    make_folder(values.out)
    title = f"{domain.title}: a network of 1997 on a test sequence"
    figure = draw(work, inputs, title, data.num_inputs - 1)
    print(f"wrote {save_picture(figure, picture, values.overwrite)}")


COMMAND = Command("real.gates", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
