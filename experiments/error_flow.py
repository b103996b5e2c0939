"""Error flow back in time, measured: the reason that the paper gives for the LSTM (eqs. 1-2, A.2).

python -m experiments.error_flow --out=DIR

Draws, for random weights and inputs, the size of the error that arrives q steps back: in a fully
recurrent net of logistic units for several ranges of weights, each with the bound of eq. 2, and in
an LSTM, by its truncated gradient (exactly 1.0) and by the full one. Takes seconds.
"""

from __future__ import annotations

import io
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import Architecture, initialise
from lstm_jax.results import write_atomically
from lstm_jax.rivals import error_flow, fully_recurrent

INPUTS, UNITS = 8, 8  # of both nets, as many as in task 6a
RANGES = (0.2, 1.0, 4.0)  # of the recurrent net's weights


def measure(steps: int, seed: int) -> dict[str, Any]:
    """The largest |error at t-q| for a unit error at t, [steps], for each line of the picture."""
    key = jax.random.key(seed)
    inputs = jax.random.normal(jax.random.fold_in(key, 1), (steps + 1, INPUTS))
    largest = lambda factors: jnp.abs(factors).max((1, 2))
    lines = {}
    net = fully_recurrent.RecurrentNet(INPUTS, 0, UNITS, "full")
    for init_range in RANGES:
        weights = fully_recurrent.initialise(key, net, init_range=init_range)
        factors = error_flow.recurrent_factors(net, weights, inputs)
        lines[f"fully recurrent, |w| < {init_range:g}"] = largest(factors)
        lines[f"bound, |w| < {init_range:g}"] = error_flow.error_bound(weights, steps)
    lstm = Architecture(num_inputs=INPUTS, blocks=(2, 2), num_outputs=1)
    parameters = initialise(key, lstm, init_range=0.2, input_gate_bias=(-2.0, -4.0))
    for paths in ("full", "truncated"):
        factors = error_flow.carrousel_factors(lstm, parameters, inputs, paths)
        lines[f"LSTM, {paths} gradient"] = largest(factors)
    return lines


def draw(lines: dict[str, Any], path: pathlib.Path) -> None:
    """Sizes against lags, on logarithmic axes; what is below single precision is not drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    colours = {f"|w| < {r:g}": c for r, c in zip(RANGES, ("C0", "C1", "C2"), strict=True)}
    colours |= {"full gradient": "tab:purple", "truncated gradient": "black"}
    for label, sizes in lines.items():
        sizes = np.asarray(sizes, np.float64)
        shown = np.where((sizes > 0) & np.isfinite(sizes), sizes, np.nan)
        colour = next(colour for part, colour in colours.items() if label.endswith(part))
        style = ":" if label.startswith("bound") else "-"
        lags = np.arange(1, len(sizes) + 1)
        axes.loglog(lags, shown, style, color=colour, label=label)
    axes.set(xlabel="lag q", ylabel="largest |error at t - q| per error at t", ylim=(1e-20, 1e10))
    axes.legend(frameon=False, fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())


def main(out: pathlib.Path, steps: int, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    draw(measure(steps, seed), out / "error_flow.png")


if __name__ == "__main__":
    from absl import flags

    from experiments import cli

    _OUT = flags.DEFINE_string("out", None, "Folder for error_flow.png.", required=True)
    _STEPS = flags.DEFINE_integer("steps", 1000, "The largest lag q.", lower_bound=2)
    _SEED = flags.DEFINE_integer("seed", 0, "Seed of weights and inputs.", lower_bound=0)
    cli.run(lambda: main(pathlib.Path(_OUT.value), _STEPS.value, _SEED.value))
