# %% [markdown]
# # The paper in pictures
#
# *Long Short-Term Memory* (Hochreiter & Schmidhuber, 1997), section by section: each claim is
# computed here and drawn. Nothing is loaded; change a number and run a cell again.

# %%
import importlib
import pathlib
import subprocess
import sys
from importlib.util import find_spec

SOURCE = "git+https://github.com/OWNER/lstm_jax"  # whence it is installed, if no checkout is around
if not all(map(find_spec, ("lstm_jax", "matplotlib", "tqdm"))):
    around = [f.as_uri() for f in pathlib.Path.cwd().parents if (f / "lstm_jax").is_dir()]
    package = f"lstm_jax[plots,progress] @ {[*around, SOURCE][0]}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)
    importlib.invalidate_caches()
import lstm_jax as lstm

lstm.configure_cpu()  # small networks run five times as fast; before JAX computes anything

# %%
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import plots
from lstm_jax.analysis import error_flow
from lstm_jax.baselines import fully_recurrent
from lstm_jax.plots import style

key = jax.random.key(0)

# %% [markdown]
# ## Section 3: errors vanish, or explode
# A net learns from an error by sending it back in time. On each step back it is multiplied by a
# slope (of the logistic function: at most 1/4) and a weight. A product of a hundred such factors is
# nearly nothing, or nearly infinite. In a memory cell both are 1: the error is carried along
# unchanged, as on a **constant error carrousel**.

# %%
inputs = 0.1 * jax.random.normal(key, (101, 8))
lines = {}
baseline = fully_recurrent.RecurrentNet(8, 0, 8, "full")
for init_range in (0.2, 1.0, 4.0):
    weights = fully_recurrent.initialise(key, baseline, init_range=init_range)
    factors = error_flow.recurrent_factors(baseline, weights, inputs)
    lines[f"conventional net, weights within {init_range}"] = factors
lines["one unit, always at its steepest, weight 5"] = (5 / 4) ** np.arange(1.0, 101)
net = lstm.Architecture(num_inputs=8, blocks=(2, 2), num_outputs=1)
parameters = lstm.initialise(key, net, init_range=0.2)
lines["memory cells"] = error_flow.carrousel_factors(net, parameters, inputs)
black = {"memory cells": {"color": style.BLACK, "linewidth": 3}}
plots.error_flow(lines, title="how much of an error arrives q steps back", styles=black)

# %% [markdown]
# ## Section 4: gates, and what they protect
# A cell that keeps all that it is given keeps noise too. The **input gate** decides what is let in.
# Both cells below see the same noise, and a value that is marked at step 10. They differ in one
# thing: the second one's input gate is nearly shut (its bias is -5) unless it sees the mark.

# %%
noise = 0.5 * jax.random.normal(jax.random.key(1), (100,))
is_marked = jnp.arange(100) == 10
sequence = jnp.stack([jnp.where(is_marked, 2.0, noise), is_marked.astype(float)], axis=1)


def one_cell(net, input_gate_bias=None):
    """A cell that takes the first input, and opens its input gate at the second."""
    zeros = jax.tree.map(jnp.zeros_like, lstm.initialise(key, net))
    cell = zeros.layer.cell._replace(input=jnp.array([[1.0], [0.0]]))
    layer = zeros.layer._replace(cell=cell)
    if net.input_gates:
        weights = {"input": jnp.array([[0.0], [10.0]]), "bias": jnp.array([input_gate_bias])}
        layer = layer._replace(input_gate=layer.input_gate._replace(**weights))
    return zeros._replace(layer=layer)


# %%
gated = lstm.Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
open_net = lstm.Architecture(num_inputs=2, blocks=(1,), num_outputs=1, input_gates=False)
figure, (axes,) = style.new_figure(7.5, 3)
for net, parameters, label in (
    (open_net, one_cell(open_net), "without an input gate"),
    (gated, one_cell(gated, -5.0), "with one that opens at the mark"),
):
    activations, _ = lstm.unroll(net, parameters, sequence)
    axes.plot(activations.internal_state[:, 0], label=label)
axes.axvline(10, color=style.GREY, linestyle=":", label="the marked value, 2.0")
axes.set(xlabel="step", ylabel="internal state", title="what a cell keeps")
style.add_legend(axes)
figure

# %% [markdown]
# The **output gate** protects the others from the cell: it hides a memory until it is asked for.
#
# ## Section 4: blocks
# Cells that share their gates are a **block**. Eight cells cost the fewer weights, the more of them
# share a pair of gates; in return they open at the same times.

# %%
figure, (axes,) = style.new_figure(6, 2.6)
shapes = [(1,) * 8, (2,) * 4, (4,) * 2, (8,)]
counts = [lstm.Architecture(8, blocks, 4).num_weights for blocks in shapes]
names = ["8 blocks of 1", "4 blocks of 2", "2 blocks of 4", "1 block of 8"]
bars = axes.barh(names, counts, color=style.BLUE)
axes.bar_label(bars, padding=3)
axes.set(xlabel="weights", title="eight cells, eight inputs, four outputs")
figure

# %% [markdown]
# ## Section 4 and appendix A.1: the truncated gradient
# Error that leaves a cell through its gates and its input is cut: it changes the weights there and
# goes no further back in time. What is lost? Here is the angle between the truncated and the full
# gradient, for random networks: cosine 1 is the same direction.

# %%
net = lstm.Architecture(num_inputs=4, blocks=(2, 2), num_outputs=1)
inputs = jax.random.normal(key, (50, 4))


def cosine(key, init_range):
    """Between the two gradients of one random network on a sequence of 50 steps."""
    parameters = lstm.initialise(key, net, init_range=init_range)

    def error(parameters, gradient):
        outputs, _ = lstm.apply(
            net, parameters, inputs, at="end", options=lstm.RunOptions(gradient=gradient)
        )
        return lstm.half_squared_error(outputs, jnp.ones(1))

    both = [jax.grad(error)(parameters, how) for how in ("truncated", "full")]
    a, b = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(g)]) for g in both)
    return a @ b / jnp.sqrt((a @ a) * (b @ b))


# %%
init_ranges = jnp.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
keys = jax.random.split(key, 200)
of_all = jax.vmap(jax.vmap(cosine, (0, None)), (None, 0))
low, median, high = jnp.percentile(
    jax.jit(of_all)(keys, init_ranges), jnp.array([10.0, 50.0, 90.0]), axis=1
)
figure, (axes,) = style.new_figure(6, 3.2)
axes.fill_between(init_ranges, low, high, color=style.SKY, alpha=0.4, label="80 % of 200 networks")
axes.plot(init_ranges, median, "o-", color=style.BLUE, label="median")
axes.set(xscale="log", xlabel="range of the random weights", ylabel="cosine", ylim=(-0.2, 1.05))
axes.set_title("truncated against full gradient, 50 steps")
style.add_legend(axes)
figure

# %% [markdown]
# The paper starts with weights within 0.1 or 0.2: there the two agree nearly everywhere, and the
# truncated one costs O(1) a weight and step, and can be computed forward in time.
#
# ## Section 4: drift, and its remedy
# A state that only ever adds can run away. The more the input gate lets in by chance, the sooner h
# is flat and the error that enters the cell is zero. The remedy: start input gates nearly shut.

# %%
stream = 0.5 + jax.random.normal(jax.random.key(2), (500, 4))
figure, (axes,) = style.new_figure(7.5, 3.2)
for bias, colour in zip((0.0, -1.0, -3.0, -5.0), style.LINES):
    parameters = lstm.initialise(key, net, init_range=0.5, input_gate_bias=(bias, bias))
    states = lstm.unroll(net, parameters, stream)[0].internal_state
    axes.plot(jnp.abs(states).mean(1), color=colour, label=f"input gate bias {bias:g}")
axes.axhspan(6, 1000, color=style.GREY, alpha=0.2, label="h is flat: no error enters")
axes.set(
    xlabel="step", ylabel="mean |internal state|", yscale="log", ylim=(None, 200), title="drift"
)
style.add_legend(axes)
figure

# %% [markdown]
# `diagnose` finds it, and says what the paper advises:

# %%
parameters = lstm.initialise(key, net, init_range=0.5, input_gate_bias=(0.0, -5.0))
for finding in lstm.diagnose(net, parameters, stream[None]):
    if finding.kind == "drift":
        print(finding)

# %% [markdown]
# ## Section 4: abuse, and its remedies
# Early in training a network takes what is at hand. Where an output needs a constant, it opens a
# cell and uses it as a bias; the cell is then lost for memories. The target here is 0.9 at every
# step, the inputs are noise: how far are the cells used while the network learns that?


# %%
def error(parameters, net, inputs):
    """Of a network that is to say 0.9 at every step."""
    outputs, _ = lstm.apply(net, parameters, inputs)
    return lstm.half_squared_error(outputs, jnp.full((30, 1), 0.9))


def abuse(net, **biases):
    """The mean |cell output|, sequence by sequence, while a network learns."""

    def learn(parameters, key):
        inputs = jax.random.normal(key, (30, 4))
        gradient = jax.grad(error)(parameters, net, inputs)
        used = jnp.abs(lstm.unroll(net, parameters, inputs)[0].cell_output).mean()
        return jax.tree.map(lambda w, g: w - 0.1 * g, parameters, gradient), used

    start = lstm.initialise(key, net, **biases)
    return jax.lax.scan(learn, start, jax.random.split(key, 150))[1]


# %%
lonely = dataclasses.replace(net, biases="hidden")  # output units without a bias
shut = {"output_gate_bias": (-4.0, -4.0)}
figure, (axes,) = style.new_figure(7.5, 3)
for name, of, biases in (
    ("output units without a bias", lonely, {}),
    ("... output gates start at -4", lonely, shut),
    ("output units with a bias", net, {}),
    ("... and output gates start at -4", net, shut),
):
    axes.plot(abuse(of, **biases), label=name)
axes.set(xlabel="training sequences", ylabel="mean |cell output|", title="cells used as a bias")
axes.set_xlim(0, 210)
style.add_legend(axes, loc="center right")
figure

# %% [markdown]
# A negative output gate bias keeps the cells out of it: they come into use later, when there is
# something to remember. (The paper's other remedy is to add cells once the error has stopped
# decreasing.)
#
# ## Section 5: longer sequences
# What tells two symbols apart for 60 steps can do so for a thousand. A network learns task 2c with
# a lag of about 60 steps; then it is run, without a further lesson, where the lag is 1,000.

# %%
task, longer = lstm.make_task("2c-50-50"), lstm.make_task("2c-1000-50")
loop = lstm.TrainingLoop(lstm.make_recipe("adam-gate-bias").apply(task))
(trial,) = lstm.TrialRunner(loop, range(1), batch_size=1).run()
parameters = jax.tree.map(jnp.asarray, trial.model.parameters)
print(f"solved: {trial.solved}, after {trial.sequences:,} sequences")

# %%
batch = longer.sample_batch(jax.random.key(3), 40)
run = lambda one: lstm.apply(loop.task.architecture, parameters, one)[0]
figure, (axes,) = style.new_figure(7.5, 3)
for outputs, target in zip(jax.vmap(run)(batch.inputs), batch.targets):
    axes.plot(outputs[:1000, 0], color=style.BLOCKS[int(target[1])], linewidth=0.8, alpha=0.7)
axes.plot([], [], color=style.BLOCKS[0], label="sequences with x at step 1")
axes.plot([], [], color=style.BLOCKS[1], label="sequences with y at step 1")
axes.axvspan(0, 60, color=style.GREY, alpha=0.5, label="as long as those it learned from")
axes.set(xlabel="step", ylabel="output for x", title="40 sequences, a lag of 1,000 steps")
style.add_legend(axes)
figure

# %% [markdown]
# ## Section 6: where it fails
# To tell whether two bits that come far apart are equal, one of them alone is worth nothing: to
# store it does not lower the error, so nothing rewards the first half of the way. At 4 steps this
# "strongly delayed XOR" is learned, at 20 it is not, by eight networks with 20,000 sequences each.

# %%
from lstm_jax.tasks import delayed_xor

groups = {}
for length in (4, 20):
    task = delayed_xor.make(length, max_sequences=20_000)
    runner = lstm.TrialRunner(lstm.TrainingLoop(task), range(8))
    groups[f"{length} steps"] = runner.run()
plots.compare_trials(groups)
