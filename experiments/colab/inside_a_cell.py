# %% [markdown]
# # Inside a cell
#
# One memory cell, twelve steps, weights set by hand: every gate and state, step by step.
#
# The cell is given three numbers at each step: a *value*, and two signals, *store* and *read*.
# It is to remember the value at which *store* came, and to show it when *read* comes.

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
import jax
import jax.numpy as jnp

from lstm_jax import plots
from lstm_jax.plots import style

values = jnp.array([0.3, -0.8, 1.0, 0.5, -0.6, 0.9, -0.2, -0.9, 0.4, 0.1, -0.5, 0.7])
store, read = jnp.zeros(12).at[2].set(1.0), jnp.zeros(12).at[9].set(1.0)
inputs = jnp.stack([values, store, read], axis=1)
names = ("value", "store", "read")
net = lstm.Architecture(num_inputs=3, blocks=(1,), num_outputs=1, recurrent="none")

# %% [markdown]
# ## The weights, by hand
# - The **input gate** is nearly shut (bias -4) and is pushed open by *store* (weight 8).
# - The **output gate** is nearly shut and is pushed open by *read*.
# - The **cell input** sees the value.


# %%
def by_hand(input_bias=-4.0, output_bias=-4.0, store_weight=8.0, read_weight=8.0):
    """The weights of the cell; what is not named is 0."""
    zeros = jax.tree.map(jnp.zeros_like, lstm.initialise(jax.random.key(0), net))

    def unit(weights, given, bias):
        return weights._replace(input=jnp.array(given)[:, None], bias=jnp.array([bias]))

    layer = zeros.layer._replace(
        input_gate=unit(zeros.layer.input_gate, [0.0, store_weight, 0.0], input_bias),
        output_gate=unit(zeros.layer.output_gate, [0.0, 0.0, read_weight], output_bias),
        cell=unit(zeros.layer.cell, [2.0, 0.0, 0.0], 0.0),
    )
    return zeros._replace(layer=layer, output=zeros.output._replace(cell=jnp.full((1, 1), 4.0)))


plots.network_at_work(net, by_hand(), inputs, symbols=names, title="store at step 2, read at 9")

# %% [markdown]
# Read it from the top. At step 2 the input gate opens, and the internal state takes what the cell
# input holds. From then on it stays where it is, whatever the value does: $s(t) = s(t-1) +
# y^{in}(t)\,g(net_c(t))$ with $y^{in} \approx 0$. At step 9 the output gate opens, and the cell's
# output shows the state for that one step. Before and after, nobody sees it.
#
# ## Every number
# The same in figures, with the equations of the paper.

# %%
activations, _ = lstm.unroll(net, by_hand(), inputs)
outputs = lstm.output_units(net, by_hand().output, activations)
print("step  y_in   g(net_c)    s     y_out   y_c")
state = 0.0
for t in range(12):
    y_in, y_out = activations.input_gate[t, 0], activations.output_gate[t, 0]
    g, y_c = activations.cell_input[t, 0], activations.cell_output[t, 0]
    state = state + y_in * g  # eq. 9
    h = 2 * jax.nn.sigmoid(state) - 1  # eq. 4
    assert abs(y_c - y_out * h) < 1e-5 and abs(state - activations.internal_state[t, 0]) < 1e-5
    print(f"{t:3}   {y_in:.3f}  {g:7.3f}  {state:7.3f}  {y_out:.3f}  {y_c:7.3f}")

# %% [markdown]
# ## Change a weight
# What if the input gate is less tightly shut? At a bias of -4 the state keeps the stored value; at
# -2 a little of everything leaks in; at 2 the cell is a sum of all that comes by.

# %%
figure, (axes,) = style.new_figure(7.5, 3.2)
for bias, colour in zip((-4.0, -2.0, 0.0, 2.0), style.LINES):
    states = lstm.unroll(net, by_hand(input_bias=bias), inputs)[0].internal_state
    axes.plot(states[:, 0], "o-", color=colour, label=f"input gate bias {bias:g}")
axes.axvline(2, color=style.GREY, linestyle=":", label="store")
axes.set(xlabel="step", ylabel="internal state", title="the input gate protects the state")
style.add_legend(axes)
figure

# %% [markdown]
# And the output gate: the less tightly it is shut, the more the rest of the network is disturbed
# by a memory that it has not asked for.

# %%
figure, (axes,) = style.new_figure(7.5, 3.2)
for bias, colour in zip((-4.0, -2.0, 0.0, 2.0), style.LINES):
    displayed = lstm.unroll(net, by_hand(output_bias=bias), inputs)[0].cell_output
    axes.plot(displayed[:, 0], "o-", color=colour, label=f"output gate bias {bias:g}")
axes.axvline(9, color=style.GREY, linestyle=":", label="read")
axes.set(xlabel="step", ylabel="cell output", title="the output gate protects the others")
axes.set_xlim(-0.5, 15)
style.add_legend(axes, loc="center right")
figure

# %% [markdown]
# With sliders, where the notebook's front end has them; a picture, where it has not.


# %%
def picture(input_bias=-4.0, output_bias=-4.0, store_weight=4.0, read_weight=8.0):
    """The cell at work with other weights."""
    weights = by_hand(input_bias, output_bias, store_weight, read_weight)
    return plots.network_at_work(
        net, weights, inputs, symbols=names, title=f"weight from store: {store_weight:g}"
    )


try:
    from ipywidgets import interact  # type: ignore[import-not-found]
except ImportError:
    displayed = picture()
else:
    ranges = ("input_bias", "output_bias", "store_weight", "read_weight")
    displayed = interact(picture, **dict.fromkeys(ranges, (-8.0, 8.0)))
displayed

# %% [markdown]
# ## What the cell remembers in order to learn
# A weight that let the value in at step 2 must be told at step 9 whether that was right. So the
# cell keeps, for each weight into its input gate and its cell input, a running sum: the derivative
# of its state by that weight (eqs. 25, 27). It grows while the gate is open and then stays, as the
# state does; this is all the memory that learning needs.

# %%
import optax

learner = lstm.init_learner(net, by_hand(), optax.sgd(0.1))
traces = []
for x_t in inputs:
    _, learner = lstm.learn(net, learner, x_t)
    traces.append((learner.traces.input_gate.input[1, 0], learner.traces.cell.input[0, 0]))
figure, (axes,) = style.new_figure(7.5, 3.2)
for sizes, name in zip(zip(*traces), ("store → input gate", "value → cell input")):
    axes.plot(sizes, "o-", label=f"∂s/∂w, {name}")
axes.set(xlabel="step", ylabel="derivative of the state", title="what is kept for the error")
style.add_legend(axes)
figure
