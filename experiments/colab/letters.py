# %% [markdown]
# # Letters
#
# A network reads a text letter by letter and predicts the next one. If it predicts well, it can
# also write: let it draw a letter, read it, draw the next one. The text is Python's own
# documentation, which is installed with every Python.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import functools
import re
import time
from importlib.util import find_spec
from pydoc_data.topics import topics

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from lstm_jax.plots import style

# %%
text = " ".join(topics[name] for name in sorted(topics)).lower()
text = re.sub("[^a-z]+", " ", text)  # letters, and a space for everything else
LETTERS = " abcdefghijklmnopqrstuvwxyz"
codes = jnp.array([LETTERS.index(letter) for letter in text])
num_read = len(codes) * 9 // 10
learned_from, tested_on = codes[:num_read], codes[num_read:]
print(f"{len(codes):,} letters: {text[:200]} ...")

# %% [markdown]
# ## What counting can do
# The measure is **bits per letter**: the mean of -log2 of the probability that was given to the
# letter that came. A blind guess among 27 costs log2(27) = 4.75 bits. Counting how often a letter
# follows the last one, two or three is better. Can a network that reads one letter at a time
# remember as much?


# %%
def bits_of_counts(order):
    """Return the bits per letter of counts, given the `order` letters before."""
    runs = lambda codes: tuple(codes[i : len(codes) - order + i] for i in range(order + 1))
    counts = jnp.full((27,) * (order + 1), 0.1).at[runs(learned_from)].add(1)
    probabilities = counts / counts.sum(-1, keepdims=True)
    return float(-jnp.log2(probabilities[runs(tested_on)]).mean())


counted = {order: bits_of_counts(order) for order in range(4)}
for order, bits_per_letter in counted.items():
    print(f"given {order} letters: {bits_per_letter:.2f} bits")

# %% [markdown]
# ## Three networks
# Each has 64 cells, 27 inputs and 27 outputs. The outputs are the logarithms of probabilities, up
# to a constant (`output="identity"`, then a softmax in the loss).
#
# 1. The cell of 1997 with its truncated gradient.
# 2. The same cell with the full gradient.
# 3. Today's LSTM: forget gates, `tanh`, the full gradient.

# %%
LENGTH, BATCH, UPDATES = 64, 32, 1000
net_1997 = lstm.Architecture(27, (1,) * 64, 27, output="identity")
today = lstm.Architecture(
    27, (1,) * 64, 27, output="identity", forget_gates=True,
    recurrent="cells", cell_input="tanh", cell_output="tanh",
)  # fmt: skip
networks = {
    "1997, truncated gradient": (net_1997, "truncated"),
    "1997, full gradient": (net_1997, "full"),
    "today's LSTM": (today, "full"),
}


# %%
def windows(key, source, number, length):
    """Draw pieces of a text, [number, length + 1]."""
    starts = jax.random.randint(key, (number, 1), 0, len(source) - length)
    return source[starts + jnp.arange(length + 1)]


def bits(parameters, net, gradient, window):
    """Return the bits for each letter after the first one, [T]."""
    options = lstm.RunOptions(gradient=gradient)
    outputs, _ = lstm.apply(net, parameters, window[:-1], options=options)
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, window[1:])
    return losses / jnp.log(2)


def mean_bits(parameters, net, gradient, batch):
    return jax.vmap(lambda window: bits(parameters, net, gradient, window))(batch).mean()


# %%
adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))


@functools.partial(jax.jit, static_argnums=(0, 1))
def learn_fifty(net, gradient, parameters, state, key):
    """Make fifty updates; return parameters and state of the optimiser."""

    def update(carry, key):
        parameters, state = carry
        batch = windows(key, learned_from, BATCH, LENGTH)
        change = jax.grad(mean_bits)(parameters, net, gradient, batch)
        change, state = adam.update(change, state)
        return (optax.apply_updates(parameters, change), state), None

    return jax.lax.scan(update, (parameters, state), jax.random.split(key, 50))[0]


# %%
test = jax.jit(mean_bits, static_argnums=(1, 2))
test_windows = windows(jax.random.key(3), tested_on, 200, LENGTH)


def train(title, net, gradient):
    """Return the learned parameters and the curve of bits per letter on new text."""
    biases = {"forget_gate_bias": (1.0,) * 64} if net.forget_gates else {}
    parameters = lstm.initialise(jax.random.key(0), net, init_range=0.12, **biases)
    state, curve = adam.init(parameters), []
    for i in (progress := tqdm(range(UPDATES // 50), desc=title)):
        key = jax.random.fold_in(jax.random.key(1), i)
        parameters, state = learn_fifty(net, gradient, parameters, state, key)
        curve.append(float(test(parameters, net, gradient, test_windows)))
        progress.set_postfix_str(f"{curve[-1]:.2f} bits")
    return parameters, curve


trained = {name: train(name, *networks[name]) for name in networks}

# %%
figure, (axes,) = style.new_figure(7.5, 3.6)
updates = 50 * np.arange(1, UPDATES // 50 + 1)
for (name, (_, curve)), colour in zip(trained.items(), style.LINES):
    axes.plot(updates, curve, color=colour, label=name)
for known in counted:
    axes.axhline(counted[known], color=style.GREY, linestyle=":")
    place = {"transform": axes.get_yaxis_transform(), "va": "center"}  # beside the axes
    axes.text(1.01, counted[known], f"counts, {known} letters", **place)
axes.set(xlabel="updates", ylabel="bits per letter", title="text that was not learned")
style.add_legend(axes)
figure

# %% [markdown]
# In the run shown here, the cells of 1997 with the truncated gradient come close to the counts of
# two letters. The same cells with the full gradient are half a bit better. Today's LSTM is better
# still, and approaches the counts of three letters. The truncated gradient does not tell a cell
# what *other* cells should store for it. The paper's tasks hardly need this. Text does.
#
# ## Does the memory last?
# The networks learned from pieces of 64 letters. Now they read 512 letters of the part that they
# have not seen. A cell of 1997 cannot forget. Does this harm the prediction of later letters?

# %%
long_windows = windows(jax.random.key(2), tested_on, 100, 512)
figure, (axes,) = style.new_figure(7.5, 3.2)
places = np.arange(32, 513, 32)
for name, colour in zip(networks, style.LINES):
    cost = lambda window, name=name: bits(trained[name][0], *networks[name], window)
    by_place = jax.jit(jax.vmap(cost))(long_windows).mean(0).reshape(-1, 32).mean(1)
    axes.plot(places - 16, by_place, "o-", color=colour, label=name)
    print(f"{name}: {by_place.mean():.2f} bits per letter")
axes.axvline(LENGTH, color=style.GREY, label="length of the training pieces")
axes.set(xlabel="letters read", ylabel="bits per letter", title="far beyond the training length")
style.add_legend(axes)
figure

# %% [markdown]
# In the run shown here it does not: every network is as good at the end as at the beginning, except
# that the first letters cost a little more. Letters do not need a long memory, and a cell can still
# subtract what it has added. *Cells compared* has a task that punishes cells that cannot forget.
#
# ## Writing
# The network reads what it has written. The *temperature* divides its outputs: below 1 it prefers
# what is likely, above 1 it takes more risks.


# %%
@functools.partial(jax.jit, static_argnums=(0, 3))
def write(net, parameters, key, number, temperature):
    """Return the numbers of the letters that a network writes, from a space."""

    def step(carry, key):
        letter, state = carry
        outputs, state = lstm.apply(net, parameters, letter[None], initial_state=state)
        letter = jax.random.categorical(key, outputs[0] / temperature).astype(jnp.int32)
        return (letter, state), letter

    start = (jnp.int32(0), lstm.zero_state(net))
    return jax.lax.scan(step, start, jax.random.split(key, number))[1]


learned = trained["today's LSTM"][0]
for temperature in (0.3, 0.7, 1.0):
    written = write(today, learned, jax.random.key(4), 180, temperature)
    print(f"temperature {temperature}: {''.join(LETTERS[i] for i in written)}\n")

# %% [markdown]
# ## Where is the network sure?
# The cost of each letter of a text that it has not read. The first letters of a word are expensive.
# Once it is clear which word it is, the others cost little.

# %%
first = 3000 + int(jnp.argmax(tested_on[3000:] == 0))  # a space
line = tested_on[first : first + 81]
costs = bits(learned, today, "full", line)
figure, (axes,) = style.new_figure(10, 2.6)
axes.bar(range(80), costs, color=style.BLUE)
axes.set_xticks(range(80), [LETTERS[i] for i in line[1:]])
axes.set(ylabel="bits", title="the cost of each letter", xlim=(-1, 80))
figure

# %% [markdown]
# ## Speed
# The time for the gradient of one batch, the best of five, beside the layer of flax (if it is
# installed). All have 64 cells. The truncated gradient has less to do on the way back. But the
# network of 1997 has more weights, because its gates are recurrent sources too.


# %%
def seconds(loss, parameters):
    """Return the shortest of five times for a value and its gradient, after compilation."""
    function, times = jax.jit(jax.value_and_grad(loss)), []
    for _ in range(6):
        begin = time.perf_counter()
        jax.block_until_ready(function(parameters))
        times.append(time.perf_counter() - begin)
    return min(times[1:])


batch = windows(jax.random.key(5), learned_from, BATCH, LENGTH)
speeds = {
    name: seconds(lambda p, name=name: mean_bits(p, *networks[name], batch), trained[name][0])
    for name in networks
}

# %%
if find_spec("flax"):
    from flax import nnx

    layer, dense = nnx.LSTMCell(27, 64, rngs=nnx.Rngs(0)), nnx.Linear(64, 27, rngs=nnx.Rngs(0))
    graph, flax_parameters, rest = nnx.split((layer, dense), nnx.Param, ...)

    def flax_bits(flax_parameters):
        cell, linear = nnx.merge(graph, flax_parameters, rest)
        zeros = jnp.zeros((BATCH, 64))
        inputs = jax.nn.one_hot(batch[:, :-1].T, 27)  # the layer takes vectors
        _, hidden = jax.lax.scan(cell, (zeros, zeros), inputs)
        outputs = linear(hidden)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, batch[:, 1:].T).mean()

    speeds["flax, LSTMCell"] = seconds(flax_bits, flax_parameters)


# %%
figure, (axes,) = style.new_figure(7.5, 2.4)
axes.barh(list(speeds), [1000 * one for one in speeds.values()], color=style.BLUE)
axes.set(xlabel="milliseconds for the gradient of 32 pieces of 64 letters")
axes.invert_yaxis()
figure

# %% [markdown]
# ## Exercises
# **1.** How many bits does a letter cost on average if every letter is given the same probability?
# And what does a network cost that gives the right letter the probability 1/4 every time?
#
# <details><summary>Answer</summary>
#
# log2(27) = 4.75 bits, and log2(4) = 2 bits. So a network at 2 bits is as sure as if it had to
# choose among four letters.
#
# ```python
# assert abs(np.log2(27) - 4.75) < 0.01
# assert np.log2(4) == 2
# ```
# </details>
#
# **2.** What does the network write at temperature 0.01? Why?
#
# <details><summary>Answer</summary>
#
# It almost always takes the likeliest letter, and then soon repeats itself: after the same letters
# and nearly the same state, the same letter follows.
#
# ```python
# cold = "".join(LETTERS[i] for i in write(today, learned, jax.random.key(4), 180, 0.01))
# print(cold)
# assert len(set(cold.split())) < len(cold.split()) / 2  # most words come again
# ```
# </details>
