# %% [markdown]
# # A stream that never ends
#
# Most training looks back over a finished sequence. This stream has no end. At every step the
# learner receives a symbol, predicts, learns if there is a target, and discards the symbol.
#
# The stream is a counter: `|` adds one (up to three), `#` resets the count, `.` does nothing, and
# at `?` the count is the target. Nothing marks where a count begins or ends.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import functools

import jax
import jax.numpy as jnp
import optax

from lstm_jax import plots
from lstm_jax.plots import style

# %%
SYMBOLS, MAX_COUNT = "#|.?", 3
CHUNK, NUM_CHUNKS = 20, 10_000  # steps between updates, updates


def stream(key, steps, count=0):
    """Draw symbols [T], counts [T, 1] scaled to [0.1, 0.9], and whether each is a target [T]."""
    symbols = jax.random.choice(key, 4, (steps,), p=jnp.array([0.12, 0.18, 0.4, 0.3]))

    def step(count, symbol):
        count = jnp.where(symbol == 0, 0, jnp.minimum(count + (symbol == 1), MAX_COUNT))
        return count, count

    _, counts = jax.lax.scan(step, count, symbols)
    return symbols, 0.1 + 0.8 * counts[:, None] / MAX_COUNT, symbols == 3


def to_count(scaled):
    """Invert the scaling to [0.1, 0.9]."""
    return (scaled - 0.1) / 0.8 * MAX_COUNT


# %%
symbols, counts, is_target = stream(jax.random.key(0), 60)
print("".join(SYMBOLS[i] for i in symbols))
print("".join(f"{to_count(c):.0f}" if t else " " for c, t in zip(counts[:, 0], is_target)))

# %% [markdown]
# ## One step at a time
# `learn` takes a symbol, a target and the weight of the target's loss (0 without a target). It
# returns the prediction and the new learner. The learner holds the weights, the state and the
# gradient so far. Its size is constant.

# %%
net_2000 = lstm.Architecture(4, (1, 1, 1), 1, forget_gates=True)
adam = optax.adam(0.01)


def start(net, **biases):
    """Return a learner at the start of the stream."""
    parameters = lstm.initialise(jax.random.key(1), net, init_range=0.3, **biases)
    return lstm.init_learner(net, parameters, adam)


def num_bytes(learner):
    """Return the size of a learner."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(learner))


# %%
learner = start(net_2000)
for t in range(40):
    weight = float(is_target[t])
    prediction, learner = lstm.learn(net_2000, learner, symbols[t], counts[t], weight=weight)
    learner = lstm.update(adam, learner)
    if t in (0, 39):
        print(f"after step {t + 1}: {num_bytes(learner):,} bytes, prediction {prediction[0]:.2f}")

# %% [markdown]
# ## 200,000 steps
# `learn_chunk` learns several steps at once, which is faster. Three learners receive the same
# stream:
#
# 1. memory cells of 1997, which never forget;
# 2. the same cells, with `reset=` at every `#`;
# 3. cells with **forget gates** (Gers, Schmidhuber & Cummins 2000), which must learn to reset.


# %%
@functools.partial(jax.jit, static_argnums=(0, 2))
def train(net, learner, with_reset):
    """Return the learner after 200,000 steps, and the summed error and targets of each chunk."""

    def chunk(carry, key):
        learner, count = carry
        symbols, counts, is_target = stream(key, CHUNK, count)
        steps = lstm.Steps(reset=(symbols == 0) & with_reset)
        options = {"weights": is_target.astype(float), "steps": steps}
        predictions, learner = lstm.learn_chunk(net, learner, symbols, counts, **options)
        errors = jnp.abs(predictions - counts)[:, 0] * is_target
        count = jnp.rint(to_count(counts[-1, 0])).astype(int)
        return (lstm.update(adam, learner), count), (errors.sum(), is_target.sum())

    keys = jax.random.split(jax.random.key(2), NUM_CHUNKS)
    (learner, _), errors = jax.lax.scan(chunk, (learner, jnp.array(0)), keys)
    return learner, errors


# %%
net_1997 = lstm.Architecture(4, (1, 1, 1), 1)
learners, curves = {}, {}
for title, net, with_reset, biases in (
    ("1997", net_1997, False, {}),
    ("1997, with resets", net_1997, True, {}),
    ("with forget gates", net_2000, False, {"forget_gate_bias": (2.0, 2.0, 2.0)}),
):
    learners[title], (errors, targets) = train(net, start(net, **biases), with_reset)
    sums = [array.reshape(100, -1).sum(1) for array in (errors, targets)]
    curves[title] = sums[0] / sums[1] / 0.8 * MAX_COUNT
    print(f"{title}: {num_bytes(learners[title]):,} bytes, final error {curves[title][-1]:.2f}")

# %% [markdown]
# Without resets, the states of the 1997 cells grow and the error stays. With resets they learn.
# Cells with forget gates need no resets.

# %%
figure, (axes,) = style.new_figure(7.5, 3.4)
steps = CHUNK * NUM_CHUNKS / 100 * jnp.arange(1, 101)
for (name, curve), colour in zip(curves.items(), (style.VERMILION, style.BLACK, style.BLUE)):
    axes.plot(steps, curve, color=colour, label=name)
axes.set(xlabel="steps of the stream", ylabel="mean error of the count", ylim=(0, None))
style.format_counts(axes)
style.add_legend(axes)
figure

# %% [markdown]
# ## What the forget gates do
# A forget gate at 1 keeps the state, one at 0 clears it. Look for the block whose forget gate
# closes at `#`, where the count starts again. At `.` and `?` it is open, since the count must last.

# %%
trained = learners["with forget gates"].parameters
shown_symbols, shown_counts, is_shown = stream(jax.random.key(3), 60)
plots.network_at_work(
    net_2000, trained, shown_symbols, targets=jnp.where(is_shown[:, None], shown_counts, jnp.nan),
    symbols=SYMBOLS, classes=("count",), title="after 200,000 steps",
)  # fmt: skip

# %%
batch = jax.vmap(lambda key: stream(key, 100)[0])(jax.random.split(jax.random.key(4), 50))
plots.gates_at_symbols(net_2000, trained, batch, symbols=SYMBOLS, title="mean gate activations")

# %% [markdown]
# If the stream has a gap, pass `mask=False` for those steps: the learner does not change.
#
# ## Exercises
# **1.** How good is a learner that ignores the symbols and always answers 1.5? Which of the three
# curves ends near this value?
#
# <details><summary>Answer</summary>
#
# It is wrong by about 1.1 on average. The memory cells of 1997 without resets are hardly better.
#
# ```python
# _, drawn_counts, is_asked = stream(jax.random.key(5), 10_000)
# constant = jnp.abs(to_count(drawn_counts[:, 0]) - 1.5)[is_asked].mean()
# assert 1.0 < constant < 1.2
# ```
# </details>
#
# **2.** How many bytes does the learner need after 200,000 steps, compared with the start?
#
# <details><summary>Answer</summary>
#
# As many as at the start. It keeps weights, a state and traces, and nothing of the stream.
#
# ```python
# at_start = start(net_2000, forget_gate_bias=(2.0, 2.0, 2.0))
# assert num_bytes(learners["with forget gates"]) == num_bytes(at_start)
# ```
# </details>
