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
import io

import jax
import jax.numpy as jnp
import optax
from IPython import display
from PIL import Image

from lstm_jax import plots
from lstm_jax.plots import style

values = jnp.array([0.3, -0.4, 0.8, 0.5, -0.3, 0.6, 0.4, -0.2, 0.7, 0.2, -0.3, 0.5])
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
# ## The cell in motion
# The cell from left to right. A gate is a wall with an opening: the wider the opening, the more
# passes through. The state keeps its height while both gates are nearly closed.


# %%
def frame(step):
    """Draw the cell at one step."""
    figure, (axes,) = style.new_figure(6, 3)
    parts = ("cell_input", "input_gate", "internal_state", "output_gate", "cell_output")
    for x, part in enumerate(parts):
        number = float(getattr(activations, part)[step, 0])
        if "gate" in part:  # a wall, open between -number and number
            axes.bar([x, x], [1 - number, number - 1], 0.2, [number, -number], color=style.BLACK)
        else:
            axes.bar(x, number, 0.7, color=style.BLUE)
        axes.text(x, 1.6, f"{number:.2f}", ha="center")
    axes.set(xticks=range(5), xticklabels=[part.replace("_", "\n") for part in parts])
    signals = " store" * int(store[step]) + " read" * int(read[step])
    axes.set(ylim=(-1, 1.9), title=f"step {step}: value {values[step]:.1f}{signals}")
    return figure


# %%
frames = [Image.open(io.BytesIO(style.as_png(frame(step)))) for step in range(12)]
movie = io.BytesIO()
options = {"save_all": True, "append_images": frames[1:], "duration": 1000, "loop": 0}
frames[0].save(movie, "GIF", **options)  # a second for each step, again and again
display.Image(movie.getvalue(), format="gif")

# %% [markdown]
# ## Change a weight
# The more open the input gate, the more of the other values leaks into the state. With bias -4 the
# state keeps the stored value; with bias 2 it is nearly the sum of all values.


# %%
def compare(bias_name, biases, part, signal, title):
    """Draw one activation of the cell for several biases of a gate."""
    figure, (axes,) = style.new_figure(7.5, 3.2)
    axes.axvline(jnp.argmax(inputs[:, names.index(signal)]), color=style.GREY, label=signal)
    for bias, colour in zip(biases, style.LINES):
        found, _ = lstm.unroll(net, by_hand(**{bias_name: bias}), inputs)
        line = {"color": colour, "label": f"{bias_name.replace('_', ' gate ')} {bias:g}"}
        axes.plot(getattr(found, part)[:, 0], "o", drawstyle="steps-mid", linestyle="-", **line)
    axes.set(xlabel="step", ylabel=part.replace("_", " "), title=title, xticks=range(12))
    axes.set_xlim(-0.5, 16)
    style.add_legend(axes, loc="center right")
    return figure


gate_biases = (-4.0, -2.0, 0.0, 2.0)
compare("input_bias", gate_biases, "internal_state", "store", "the input gate protects the state")

# %% [markdown]
# The more open the output gate, the more the stored value disturbs the rest of the network before
# and after *read*.

# %%
compare(
    "output_bias", gate_biases, "cell_output", "read", "the output gate protects the other units"
)

# %% [markdown]
# With sliders, if `ipywidgets` is installed; otherwise as a picture. Every panel keeps its scale,
# so that a gate that is nearly closed looks closed.


# %%
def picture(input_bias=-4.0, output_bias=-4.0, store_weight=4.0, read_weight=8.0):
    """Draw the cell with other weights, on axes that stay."""
    weights = by_hand(input_bias, output_bias, store_weight, read_weight)
    figure = plots.network_at_work(net, weights, inputs, symbols=names)
    limits = ((-1, 1.1), (-0.03, 1.03), (-0.03, 1.03), (-1, 6), (-0.1, 1.03), (-0.03, 1.03))
    for axes, limit in zip(figure.axes, limits):
        axes.set_ylim(limit)
    return figure


# %%
try:
    from ipywidgets import FloatSlider, interactive  # type: ignore[import-not-found]
except ImportError:
    shown = picture()
else:
    slider = {"min": -8, "max": 8, "step": 1, "continuous_update": False}
    slider["style"] = {"description_width": "initial"}
    start = {"input_bias": -4, "output_bias": -4, "store_weight": 4, "read_weight": 8}
    sliders = {name: FloatSlider(value, **slider) for name, value in start.items()}
    shown = interactive(picture, **sliders)
shown

# %% [markdown]
# ## What the cell keeps in order to learn
# The error at step 9 must reach the weight that let the value in at step 2. For each weight into
# its input gate and its cell input, the cell keeps a running sum: the derivative of its state with
# respect to that weight (eqs. 25, 27). It grows while the gate is open and then stays, like the
# state. Learning needs no other memory of the past.

# %%
learner = lstm.init_learner(net, by_hand(), optax.sgd(0.1))
traces = []
for x_t in inputs:
    _, learner = lstm.learn(net, learner, x_t)
    traces.append((learner.traces[0].input_gate.input[1, 0], learner.traces[0].cell.input[0, 0]))
figure, (axes,) = style.new_figure(7.5, 3.2)
for trace, weight in zip(zip(*traces), ("store → input gate", "value → cell input")):
    axes.plot(trace, "o-", drawstyle="steps-mid", label=f"∂s/∂w, {weight}")
axes.set(xlabel="step", ylabel="derivative of the state", title="the traces of two weights")
axes.set_xticks(range(12))
style.add_legend(axes)
figure

# %% [markdown]
# ## Exercises
# **1.** Call `picture(store_weight=4.0)`. Why does the state rise only half as far as in the first
# picture?
#
# <details><summary>Answer</summary>
#
# At *store* the net input of the input gate is -4 + 4 = 0, and f(0) = 0.5: the gate is half open,
# so half of the cell input is added.
#
# ```python
# half, _ = lstm.unroll(net, by_hand(store_weight=4.0), inputs)
# assert abs(half.input_gate[2, 0] - 0.5) < 1e-6
# ```
# </details>
#
# **2.** *store* now comes twice, at steps 2 and 5. What is in the cell at step 9: the first value,
# the second, or something else?
#
# <details><summary>Answer</summary>
#
# Their sum, because a cell of 1997 can only add to its state. To replace the old value it would
# have to add its negative. This is why the cell of 2000 has a forget gate.
#
# ```python
# twice, _ = lstm.unroll(net, by_hand(), inputs.at[5, 1].set(1.0))
# first, second = twice.cell_input[2, 0], twice.cell_input[5, 0]
# assert abs(twice.internal_state[9, 0] - (first + second)) < 0.2
# ```
# </details>
