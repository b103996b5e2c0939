# %% [markdown]
# # Cells compared
#
# Which cell is better? One run of each does not tell, since another random number may turn the
# result around. Here five cells learn the same task, sixteen times each, and every mean has an
# interval.
#
# The task: count. A stream has four symbols. `|` adds one to a count (up to three), `#` resets it,
# `.` does nothing, and at `?` the count is the target. A cell must hold the count over many dots,
# and drop it at `#`.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from lstm_jax import plots
from lstm_jax.plots import style

# %%
SYMBOLS, MAX_COUNT, NUM_CELLS = "#|.?", 3, 4


def stream(key, steps=100):
    """Draw symbols [T], counts [T] and whether each is a target [T]."""
    symbols = jax.random.choice(key, 4, (steps,), p=jnp.array([0.04, 0.1, 0.66, 0.2]))

    def step(count, symbol):
        count = jnp.where(symbol == 0, 0, jnp.minimum(count + (symbol == 1), MAX_COUNT))
        return count, count

    return symbols, jax.lax.scan(step, 0, symbols)[1], symbols == 3


symbols, counts, is_target = stream(jax.random.key(0))
print("".join(SYMBOLS[i] for i in symbols))
print("".join(str(count) if t else " " for count, t in zip(counts, is_target)))

# %% [markdown]
# ## The cells
# A cell is a pair of functions: `init` draws weights, and `run` turns symbols into outputs. Four of
# them are one `Architecture` each, with the gradient of their time.


# %%
def lstm_cell(net, gradient):
    """Return init and run of an LSTM network; forget gates start open."""
    biases = {"forget_gate_bias": (2.0,) * NUM_CELLS} if net.forget_gates else {}
    options = lstm.RunOptions(gradient=gradient)

    def init(key):
        return lstm.initialise(key, net, init_range=0.3, **biases)

    def run(weights, symbols):
        return lstm.apply(net, weights, symbols, options=options)[0][:, 0]

    return init, run


# %% [markdown]
# The fifth is the gated recurrent unit (Cho et al. 2014), written here. Its state is a mixture of
# the old state and a new value. One gate decides how much of each.


# %%
def init_gru(key):
    n = NUM_CELLS
    shapes = {"input": (4, 3 * n), "state": (n, 3 * n), "output": (n,)}
    keys = dict(zip(shapes, jax.random.split(key, 3)))
    draw = lambda name: jax.random.uniform(keys[name], shapes[name], minval=-0.3, maxval=0.3)
    return {name: draw(name) for name in shapes}


def run_gru(weights, symbols):
    def step(state, symbol):
        keep, use, new = jnp.split(weights["input"][symbol], 3)
        keep_s, use_s, new_s = jnp.split(state @ weights["state"], 3)
        keep, use = jax.nn.sigmoid(keep + keep_s), jax.nn.sigmoid(use + use_s)
        state = keep * state + (1 - keep) * jnp.tanh(new + use * new_s)
        return state, jax.nn.sigmoid(state @ weights["output"])

    return jax.lax.scan(step, jnp.zeros(NUM_CELLS), symbols)[1]


# %%
net_1997 = lstm.Architecture(num_inputs=4, blocks=(1,) * NUM_CELLS, num_outputs=1)
net_2000 = dataclasses.replace(net_1997, forget_gates=True)
net_2002 = dataclasses.replace(net_2000, peepholes=True)
today = dataclasses.replace(net_2000, recurrent="cells", cell_input="tanh", cell_output="tanh")
cells = {
    "1997": lstm_cell(net_1997, "truncated"),
    "2000, forget gates": lstm_cell(net_2000, "truncated"),
    "2002, peepholes": lstm_cell(net_2002, "truncated"),
    "2014, GRU": (init_gru, run_gru),
    "today's LSTM": lstm_cell(today, "full"),
}

# %% [markdown]
# ## Sixteen trials of each
# A trial has its own initial weights and its own streams: 600 updates of Adam on eight streams
# each. Then it is tested on twenty new ones. The error is the mean distance from the count.

# %%
TRIALS, UPDATES, BATCH = 16, 600, 8
adam = optax.adam(0.01)


def errors_on_streams(weights, run, key, number):
    """Return [number, T] the distance of outputs from counts, and which steps are targets."""
    symbols, counts, is_target = jax.vmap(stream)(jax.random.split(key, number))
    outputs = jax.vmap(run, (None, 0))(weights, symbols)
    return jnp.abs((MAX_COUNT + 1) * outputs - 0.5 - counts), is_target  # outputs are in [0, 1]


def loss(weights, run, key):
    """Return half the squared error on new streams, and their mean error at the targets."""
    errors, is_target = errors_on_streams(weights, run, key, BATCH)
    mean = (errors * is_target).sum() / is_target.sum()
    return (errors**2 * is_target).sum() / 2 / BATCH, mean


# %%
def train(init, run):
    """Return weights, training errors [trials, updates] and test errors [trials]."""

    def update(carry, key):
        weights, state = carry
        gradient, error = jax.grad(loss, has_aux=True)(weights, run, key)
        change, state = adam.update(gradient, state)
        return (optax.apply_updates(weights, change), state), error

    def trial(key):
        weights = init(key)
        keys = jax.random.split(jax.random.fold_in(key, 1), UPDATES)
        (weights, _), curve = jax.lax.scan(update, (weights, adam.init(weights)), keys)
        tested, is_target = errors_on_streams(weights, run, jax.random.fold_in(key, 2), 20)
        return weights, curve, (tested * is_target).sum() / is_target.sum()

    return jax.jit(jax.vmap(trial))(jax.random.split(jax.random.key(1), TRIALS))


# %%
results = {}
for name in (bar := tqdm(cells)):
    bar.set_description(name)
    results[name] = jax.tree.map(np.asarray, train(*cells[name]))

# %% [markdown]
# Each line is the mean of sixteen trials. All start at an error of about 1.1. The GRU and today's
# LSTM learn fastest, and the cell of 1997 is still far behind at the end.

# %%
figure, (axes,) = style.new_figure(7.5, 3.4)
for name, colour in zip(cells, style.LINES):
    curve = results[name][1].mean(0).reshape(-1, 20).mean(1)  # of all trials, then of 20 updates
    axes.plot(20 * np.arange(1, len(curve) + 1), curve, color=colour, label=name)
axes.set(xlabel="updates", ylabel="mean error of the count", ylim=(0, None), title="training")
style.add_legend(axes)
figure

# %% [markdown]
# ## How sure is a mean?
# Draw sixteen of the sixteen test errors *with replacement*, and take their mean. Repeat it ten
# thousand times. The middle 95 % of these means are the **bootstrap interval**. It shows how much
# the mean would change with other trials.


# %%
generator = np.random.default_rng(0)


def drawn_means(errors, number=TRIALS):
    """Return ten thousand means of this number of errors, drawn with replacement."""
    return generator.choice(errors, (10_000, number)).mean(1)


def interval(means):
    """Return the ends of the middle 95 %."""
    return np.percentile(means, [2.5, 97.5])


# %%
figure, (axes,) = style.new_figure(7.5, 3)
for row, name in enumerate(cells):
    errors = results[name][2]
    axes.plot(errors, np.full(TRIALS, row), "o", color=style.SKY, markersize=4, alpha=0.7)
    axes.plot(interval(drawn_means(errors)), [row, row], color=style.BLACK, linewidth=4)
    axes.text(0.49, row, f"mean {errors.mean():.2f}", va="center", ha="right")
axes.set(yticks=range(len(cells)), yticklabels=list(cells), xlim=(0, 0.5))
axes.set(xlabel="mean error of the count on new streams", title="trials (dots), intervals (bars)")
axes.invert_yaxis()
figure

# %% [markdown]
# The interval of 1997 is far from all others: on this task a cell should be able to forget. The
# other four are close to each other. One unlucky trial makes that of the peepholes wide.
#
# ## How sure is a difference?
# For two cells, draw trials of both and subtract the means. If the interval of the difference
# contains 0, the trials do not show which cell is better.

# %%
pairs = [("1997", "2000, forget gates"), ("2000, forget gates", "2002, peepholes")]
pairs += [("2000, forget gates", "2014, GRU"), ("2014, GRU", "today's LSTM")]
figure, (axes,) = style.new_figure(7.5, 2.8)
for row, pair in enumerate(pairs):
    first, second = (drawn_means(results[name][2]) for name in pair)
    axes.plot(interval(first - second), [row, row], color=style.BLACK, linewidth=4)
axes.axvline(0, color=style.VERMILION, linestyle=":")
axes.set(yticks=range(len(pairs)), yticklabels=[" minus ".join(pair) for pair in pairs])
axes.set(xlabel="difference of the mean errors", title="95 % intervals of four differences")
axes.invert_yaxis()
figure

# %% [markdown]
# In the run shown here, forget gates help, and the GRU is a little better still. Whether peepholes
# help on this task remains open.
#
# ## What forget gates do
# The best network with forget gates, and the best of 1997, on the same stream. With forget gates, a
# gate closes at `#` and the state returns to its start. The cell of 1997 has to add the negative of
# what it has counted.

# %%
shown_symbols, shown_counts, is_shown = stream(jax.random.key(3))
shown_targets = jnp.where(is_shown, (shown_counts + 0.5) / (MAX_COUNT + 1), jnp.nan)[:, None]


def draw_best(name, net):
    """Draw the network with the smallest test error at work."""
    weights, _, errors = results[name]
    best = jax.tree.map(lambda array: jnp.asarray(array[errors.argmin()]), weights)
    names = {"symbols": SYMBOLS, "classes": ("count",), "title": name}
    return plots.network_at_work(net, best, shown_symbols, targets=shown_targets, **names)


draw_best("2000, forget gates", net_2000)

# %%
draw_best("1997", net_1997)

# %% [markdown]
# ## Exercises
# **1.** With one trial of each, how often would the cell with peepholes look better than the cell
# without? And how often with four?
#
# <details><summary>Answer</summary>
#
# Neither number is near 0 or 100 %, so one trial tells little, and four tell not much more.
#
# ```python
# def how_often(number):
#     without, having = (results[name][2] for name in ("2000, forget gates", "2002, peepholes"))
#     return (drawn_means(having, number) < drawn_means(without, number)).mean()
#
#
# print(f"{how_often(1):.0%} with one trial, {how_often(4):.0%} with four")
# assert 0.1 < how_often(1) < 0.9
# ```
# </details>
#
# **2.** Today's LSTM differs from the cell of 2000 in its cell and in its gradient. Train the cell
# of 2000 with the full gradient. Is its interval another one?
#
# <details><summary>Answer</summary>
#
# It overlaps with that of the truncated gradient: on this task the truncation costs little.
#
# ```python
# full = np.asarray(train(*lstm_cell(net_2000, "full"))[2])
# low, high = interval(drawn_means(full))
# other_low, other_high = interval(drawn_means(results["2000, forget gates"][2]))
# print(f"full gradient: {low:.3f} to {high:.3f}, truncated: {other_low:.3f} to {other_high:.3f}")
# assert low < other_high and other_low < high
# ```
# </details>
