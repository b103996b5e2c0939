# %% [markdown]
# # Inside a cell
#
# One memory cell, twelve steps, weights set by hand: every gate and state, step by step.
#
# The cell has three inputs: a *value* and two signals, *store* and *read*. It must remember the
# value at *store* and output it at *read*.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

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
# ## The weights
# - The **input gate** is nearly closed (bias -4); *store* opens it (weight 8).
# - The **output gate** is nearly closed; *read* opens it.
# - The **cell input** receives the value.


# %%
def by_hand(input_bias=-4.0, output_bias=-4.0, store_weight=8.0, read_weight=8.0):
    """Return the weights of the cell; all others are 0."""
    zeros = jax.tree.map(jnp.zeros_like, lstm.initialise(jax.random.key(0), net))

    def unit(weights, values, bias):
        return weights._replace(input=jnp.array(values)[:, None], bias=jnp.array([bias]))

    layer = zeros.layer._replace(
        input_gate=unit(zeros.layer.input_gate, [0.0, store_weight, 0.0], input_bias),
        output_gate=unit(zeros.layer.output_gate, [0.0, 0.0, read_weight], output_bias),
        cell=unit(zeros.layer.cell, [2.0, 0.0, 0.0], 0.0),
    )
    return zeros._replace(layer=layer, output=zeros.output._replace(cell=jnp.full((1, 1), 4.0)))


plots.network_at_work(net, by_hand(), inputs, symbols=names, title="store at step 2, read at 9")

# %% [markdown]
# Read it from the top. At step 2 the input gate opens, and the cell input is added to the internal
# state. After that the state stays, whatever the value does: $s(t) = s(t-1) +
# y^{in}(t)\,g(net_c(t))$ with $y^{in} \approx 0$. At step 9 the output gate opens, and the cell
# outputs its state for that step only.
#
# ## The numbers
# The same as a table, with the equations of the paper.

# %%
activations, _ = lstm.unroll(net, by_hand(), inputs)
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
# The more open the input gate, the more of the other values leaks into the state. With bias -4 the
# state keeps the stored value; with bias 2 it is a sum of all values.

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
# The more open the output gate, the more the stored value disturbs the rest of the network before
# and after *read*.

# %%
figure, (axes,) = style.new_figure(7.5, 3.2)
for bias, colour in zip((-4.0, -2.0, 0.0, 2.0), style.LINES):
    outputs = lstm.unroll(net, by_hand(output_bias=bias), inputs)[0].cell_output
    axes.plot(outputs[:, 0], "o-", color=colour, label=f"output gate bias {bias:g}")
axes.axvline(9, color=style.GREY, linestyle=":", label="read")
axes.set(xlabel="step", ylabel="cell output", title="the output gate protects the other units")
axes.set_xlim(-0.5, 15)
style.add_legend(axes, loc="center right")
figure

# %% [markdown]
# With sliders, if `ipywidgets` is installed; otherwise as a picture.


# %%
def picture(input_bias=-4.0, output_bias=-4.0, store_weight=4.0, read_weight=8.0):
    """Draw the cell with other weights."""
    weights = by_hand(input_bias, output_bias, store_weight, read_weight)
    title = f"weight from store: {store_weight:g}"
    return plots.network_at_work(net, weights, inputs, symbols=names, title=title)


try:
    from ipywidgets import interact  # type: ignore[import-not-found]
except ImportError:
    displayed = picture()
else:
    sliders = ("input_bias", "output_bias", "store_weight", "read_weight")
    displayed = interact(picture, **dict.fromkeys(sliders, (-8.0, 8.0)))
displayed

# %% [markdown]
# ## What the cell keeps in order to learn
# The error at step 9 must reach the weight that let the value in at step 2. For each weight into
# its input gate and its cell input, the cell keeps a running sum: the derivative of its state with
# respect to that weight (eqs. 25, 27). It grows while the gate is open and then stays, like the
# state. Learning needs no other memory of the past.

# %%
import optax

learner = lstm.init_learner(net, by_hand(), optax.sgd(0.1))
traces = []
for x_t in inputs:
    _, learner = lstm.learn(net, learner, x_t)
    traces.append((learner.traces.input_gate.input[1, 0], learner.traces.cell.input[0, 0]))
figure, (axes,) = style.new_figure(7.5, 3.2)
for trace, name in zip(zip(*traces), ("store → input gate", "value → cell input")):
    axes.plot(trace, "o-", label=f"∂s/∂w, {name}")
axes.set(xlabel="step", ylabel="derivative of the state", title="the traces of two weights")
style.add_legend(axes)
figure
