# %% [markdown]
# # The paper in pictures
#
# *Long Short-Term Memory* (Hochreiter & Schmidhuber, 1997), section by section. Each claim is
# computed here and drawn. Change a number and run a cell again.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import plots
from lstm_jax.analysis import error_flow
from lstm_jax.baselines import fully_recurrent
from lstm_jax.plots import style
from lstm_jax.tasks import delayed_xor
from lstm_jax.training.runs.progress import Bar

key = jax.random.key(0)

# %% [markdown]
# ## Section 3: errors vanish or explode
# A recurrent net sends its errors back in time. Each step back multiplies an error by a derivative
# (of the logistic function: at most 1/4) and a weight. A product of a hundred such factors is
# close to zero or very large. In a memory cell the factor is 1: the error is carried back without
# change, on the **constant error carrousel**.

# %%
flow_inputs = 0.1 * jax.random.normal(key, (101, 8))
lines = {}
baseline = fully_recurrent.RecurrentNet(8, 0, 8, "full")
for init_range in (0.2, 1.0, 4.0):
    weights = fully_recurrent.initialise(key, baseline, init_range=init_range)
    factors = error_flow.recurrent_factors(baseline, weights, flow_inputs)
    lines[f"conventional net, weights within {init_range}"] = factors
lines["one unit, largest derivative, weight 5"] = (5 / 4) ** np.arange(1.0, 101)
flow_net = lstm.Architecture(num_inputs=8, blocks=(2, 2), num_outputs=1)
flow_parameters = lstm.initialise(key, flow_net, init_range=0.2)
lines["memory cells"] = error_flow.carrousel_factors(flow_net, flow_parameters, flow_inputs)
black = {"memory cells": {"color": style.BLACK, "linewidth": 3}}
plots.error_flow(lines, title="the error that arrives q steps back", styles=black)

# %% [markdown]
# ## Section 4: gates
# A cell without gates stores noise too. The **input gate** protects the state from it. Both cells
# below receive the same noise, and a marked value at step 10. The second cell has an input gate
# that is nearly closed (bias -5) and opens at the mark.

# %%
noise = 0.5 * jax.random.normal(jax.random.key(1), (100,))
is_marked = jnp.arange(100) == 10
marked_noise = jnp.stack([jnp.where(is_marked, 2.0, noise), is_marked.astype(float)], axis=1)


def one_cell(net):
    """Return weights by which the first input enters, and the second opens the input gate."""
    zeros = jax.tree.map(jnp.zeros_like, lstm.initialise(key, net))
    cell = zeros.layer.cell._replace(input=jnp.array([[1.0], [0.0]]))
    layer = zeros.layer._replace(cell=cell)
    if net.input_gates:
        weights = {"input": jnp.array([[0.0], [10.0]]), "bias": jnp.array([-5.0])}
        layer = layer._replace(input_gate=layer.input_gate._replace(**weights))
    return zeros._replace(layer=layer)


# %%
gated = lstm.Architecture(num_inputs=2, blocks=(1,), num_outputs=1)
ungated = dataclasses.replace(gated, input_gates=False)
figure, (axes,) = style.new_figure(7.5, 3)
for one, label in ((ungated, "without an input gate"), (gated, "with an input gate")):
    activations, _ = lstm.unroll(one, one_cell(one), marked_noise)
    axes.plot(activations.internal_state[:, 0], label=label)
axes.axvline(10, color=style.GREY, linestyle=":", label="the marked value, 2.0")
axes.set(xlabel="step", ylabel="internal state", title="the state of two cells")
style.add_legend(axes)
figure

# %% [markdown]
# The **output gate** protects the other units from the cell: it hides the state until it is needed.
#
# ## Section 4: blocks
# Cells with common gates form a **block**. Larger blocks need fewer weights for the same number of
# cells, but their cells open at the same time.

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
# An error that leaves a cell through its gates or its input is truncated: it changes the weights
# there and flows no further back. How much is lost? The picture shows the cosine between the
# truncated and the full gradient of random networks (1: the same direction).

# %%
net = lstm.Architecture(num_inputs=4, blocks=(2, 2), num_outputs=1)
inputs = jax.random.normal(key, (50, 4))


def cosine(key, init_range):
    """Return the cosine between the gradients of a random network on 50 steps."""
    parameters = lstm.initialise(key, net, init_range=init_range)

    def loss(parameters, gradient):
        options = lstm.RunOptions(gradient=gradient)
        outputs, _ = lstm.apply(net, parameters, inputs, at="end", options=options)
        return lstm.half_squared_error(outputs, jnp.ones(1))

    both = [jax.grad(loss)(parameters, gradient) for gradient in ("truncated", "full")]
    a, b = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(g)]) for g in both)
    return a @ b / jnp.sqrt((a @ a) * (b @ b))


# %%
init_ranges = jnp.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
keys = jax.random.split(key, 200)
cosines = jax.jit(jax.vmap(jax.vmap(cosine, (0, None)), (None, 0)))(keys, init_ranges)
low, median, high = jnp.percentile(cosines, jnp.array([10.0, 50.0, 90.0]), axis=1)
figure, (axes,) = style.new_figure(6, 3.2)
axes.fill_between(init_ranges, low, high, color=style.SKY, alpha=0.4, label="80 % of 200 networks")
axes.plot(init_ranges, median, "o-", color=style.BLUE, label="median")
axes.set(xscale="log", xlabel="range of the random weights", ylabel="cosine", ylim=(-0.2, 1.05))
axes.set_title("truncated against full gradient, 50 steps")
style.add_legend(axes)
figure

# %% [markdown]
# The paper's initial weights are within 0.1 or 0.2. There the two gradients nearly agree. The
# truncated one costs O(1) per weight and step, and can be computed forward in time.
#
# ## Section 4: drift
# An internal state that only grows makes h flat, and then no error enters the cell. The more the
# input gate lets in, the sooner this happens. The remedy is a negative initial input gate bias.

# %%
drift_inputs = 0.5 + jax.random.normal(jax.random.key(2), (500, 4))
figure, (axes,) = style.new_figure(7.5, 3.2)
for bias, colour in zip((0.0, -1.0, -3.0, -5.0), style.LINES):
    biased = lstm.initialise(key, net, init_range=0.5, input_gate_bias=(bias, bias))
    states = lstm.unroll(net, biased, drift_inputs)[0].internal_state
    axes.plot(jnp.abs(states).mean(1), color=colour, label=f"input gate bias {bias:g}")
axes.axhspan(6, 1000, color=style.GREY, alpha=0.2, label="h is flat: no error enters")
axes.set(xlabel="step", ylabel="mean |internal state|", yscale="log", ylim=(None, 200))
axes.set_title("drift")
style.add_legend(axes)
figure

# %% [markdown]
# `diagnose` finds the drift and states the paper's remedy:

# %%
drifting = lstm.initialise(key, net, init_range=0.5, input_gate_bias=(0.0, -5.0))
for finding in lstm.diagnose(net, drifting, drift_inputs[None]):
    if finding.kind == "drift":
        print(finding)

# %% [markdown]
# ## Section 4: abuse of memory cells
# Early in training, an output that needs a constant may use a cell as a bias. The cell is then not
# available as a memory. Here the target is 0.9 at every step and the inputs are noise. How large
# are the cell outputs while the network learns that?


# %%
def loss(parameters, net, inputs):
    """Return the loss of a network that should output 0.9 at every step."""
    outputs, _ = lstm.apply(net, parameters, inputs)
    return lstm.half_squared_error(outputs, jnp.full((30, 1), 0.9))


def abuse(net, **biases):
    """Return the mean |cell output| of each training sequence."""

    def train(parameters, key):
        noise = jax.random.normal(key, (30, 4))
        gradient = jax.grad(loss)(parameters, net, noise)
        outputs = lstm.unroll(net, parameters, noise)[0].cell_output
        return jax.tree.map(lambda w, g: w - 0.1 * g, parameters, gradient), jnp.abs(outputs).mean()

    return jax.lax.scan(train, lstm.initialise(key, net, **biases), jax.random.split(key, 150))[1]


# %%
unbiased = dataclasses.replace(net, biases="hidden")  # output units without a bias
closed = {"output_gate_bias": (-4.0, -4.0)}
figure, (axes,) = style.new_figure(7.5, 3)
for name, one, biases in (
    ("output units without a bias", unbiased, {}),
    ("without a bias, output gate bias -4", unbiased, closed),
    ("output units with a bias", net, {}),
    ("with a bias, output gate bias -4", net, closed),
):
    axes.plot(abuse(one, **biases), label=name)
axes.set(xlabel="training sequences", ylabel="mean |cell output|", title="cells used as a bias")
axes.set_xlim(0, 240)
style.add_legend(axes, loc="center right")
figure

# %% [markdown]
# With a negative output gate bias the cells are not used for that. They come into use later, when
# there is something to remember. (The paper's other remedy adds cells when the error stops
# decreasing.)
#
# ## Section 5: longer sequences
# A network learns task 2c with a lag of about 60 steps. It is then run with a lag of 1,000,
# without further training.

# %%
short_task, long_task = lstm.make_task("2c-50-50"), lstm.make_task("2c-1000-50")
loop = lstm.TrainingLoop(lstm.make_recipe("adam-gate-bias").apply(short_task))
with Bar("2c") as bar:
    (trial,) = lstm.TrialRunner(loop, range(1), batch_size=1).run(on_chunk=bar.show)
print(f"solved: {trial.solved}, after {trial.sequences:,} sequences")

# %%
learned = jax.tree.map(jnp.asarray, trial.model.parameters)
batch = long_task.sample_batch(jax.random.key(3), 40)
run = lambda sequence: lstm.apply(loop.task.architecture, learned, sequence)[0]
figure, (axes,) = style.new_figure(7.5, 3)
for outputs, target in zip(jax.vmap(run)(batch.inputs), batch.targets):
    axes.plot(outputs[:1000, 0], color=style.BLOCKS[int(target[1])], linewidth=0.8, alpha=0.7)
axes.plot([], [], color=style.BLOCKS[0], label="sequences with x at step 1")
axes.plot([], [], color=style.BLOCKS[1], label="sequences with y at step 1")
axes.axvspan(0, 60, color=style.GREY, alpha=0.5, label="length of the training sequences")
axes.set(xlabel="step", ylabel="output for x", title="40 sequences, a lag of 1,000 steps")
style.add_legend(axes)
figure

# %% [markdown]
# ## Section 6: a limit
# "Strongly delayed XOR": are two bits that come far apart equal? Storing only one of them does not
# reduce the error, so nothing rewards the first half of the solution. With 20,000 sequences each,
# seven of eight networks learn it at 4 steps, and none at 20.

# %%
groups = {}
for length in (4, 20):
    xor_loop = lstm.TrainingLoop(delayed_xor.make(length, max_sequences=20_000))
    with Bar(f"XOR, {length} steps") as bar:
        xor_trials = lstm.TrialRunner(xor_loop, range(8)).run(on_chunk=bar.show)
    groups[f"{length} steps"] = xor_trials
plots.compare_trials(groups)

# %% [markdown]
# ## Exercises
# **1.** A logistic unit feeds back to itself. For which weight can an error come back undiminished?
# Why does this not make the unit a memory?
#
# <details><summary>Answer</summary>
#
# For a weight of 4, because the derivative is at most 1/4. But it is 1/4 only at a net input of 0.
# With any other input the factor is below 1, and the error vanishes.
#
# ```python
# derivative = jax.grad(jax.nn.sigmoid)
# assert 4 * derivative(0.0) == 1
# assert (4 * derivative(0.5)) ** 100 < 0.01
# ```
# </details>
#
# **2.** How much of each value does an input gate with bias -5 let in? Which bias lets a thousandth
# in?
#
# <details><summary>Answer</summary>
#
# f(-5) = 0.0067. The bias for 0.001 is log(0.001 / 0.999) = -6.9.
#
# ```python
# assert abs(jax.nn.sigmoid(-5.0) - 0.0067) < 1e-4
# assert abs(jax.nn.sigmoid(jnp.log(0.001 / 0.999)) - 0.001) < 1e-5
# ```
# </details>
