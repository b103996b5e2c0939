# %% [markdown]
# # A stream that never ends
#
# Most learning looks back over a finished sequence. This one has no end: the learner takes one
# symbol after the other, predicts, hears the truth if there is any, learns, and forgets the symbol.
#
# The stream is a counter's: `|` counts one up (to three at most), `#` sets it back to nothing, `.`
# means nothing, and at `?` the count must be told. Nobody marks where something begins or ends.

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
import functools

import jax
import jax.numpy as jnp
import optax

from lstm_jax import plots
from lstm_jax.plots import style

# %%
SYMBOLS, MOST = "#|.?", 3


def stream(key, steps, before=0):
    """Symbols [T], counts [T, 1], as numbers in [0.1, 0.9], and where they are asked for [T]."""
    symbols = jax.random.choice(key, 4, (steps,), p=jnp.array([0.12, 0.18, 0.4, 0.3]))

    def count(before, symbol):
        now = jnp.where(symbol == 0, 0, jnp.minimum(before + (symbol == 1), MOST))
        return now, now

    _, counts = jax.lax.scan(count, before, symbols)
    return symbols, 0.1 + 0.8 * counts[:, None] / MOST, symbols == 3


# %%
symbols, counts, asked = stream(jax.random.key(0), 60)
told = [round((float(count) - 0.1) / 0.8 * MOST) for count in counts[:, 0]]
print("".join(SYMBOLS[i] for i in symbols))
print("".join(str(count) if ask else " " for count, ask in zip(told, asked)))

# %% [markdown]
# ## One step at a time
# `learn` takes a symbol, the target and how much the target counts (0 where nothing is asked), and
# returns the prediction and the new learner. All that it knows is in the learner.

# %%
net = lstm.Architecture(4, (1, 1, 1), 1, forget_gates=True)
adam = optax.adam(0.01)


def start(net, **biases):
    """A learner at the start of its stream."""
    parameters = lstm.initialise(jax.random.key(1), net, init_range=0.3, **biases)
    return lstm.init_learner(net, parameters, adam)


learner = start(net)
size = lambda learner: sum(leaf.nbytes for leaf in jax.tree.leaves(learner))
for t in range(40):
    prediction, learner = lstm.learn(net, learner, symbols[t], counts[t], weight=float(asked[t]))
    learner = lstm.update(adam, learner)
    if t in (0, 39):
        print(f"after step {t + 1}: {size(learner):,} bytes, prediction {prediction[0]:.2f}")

# %% [markdown]
# ## 200,000 steps
# As many as one likes: the learner stays as large as it is. `learn_chunk` does the same by a
# stretch at a time, which is faster. Three learners hear the same stream:
#
# 1. memory cells of 1997, which keep what they have for ever;
# 2. the same, but told where something new begins: `reset=` at every `#`;
# 3. cells with **forget gates** (Gers, Schmidhuber & Cummins 2000), which must find that out.

# %%
STRETCH, STRETCHES = 20, 10_000


@functools.partial(jax.jit, static_argnums=(0, 2))
def live(net, learner, told):
    """Learns on and on; the mean error of what was asked for, by stretch."""

    def stretch(carry, key):
        learner, count = carry
        symbols, counts, asked = stream(key, STRETCH, count)
        steps = {"weights": asked.astype(float), "reset": (symbols == 0) & told}
        predictions, learner = lstm.learn_chunk(net, learner, symbols, counts, **steps)
        errors = jnp.abs(predictions - counts)[:, 0] * asked
        count = jnp.rint((counts[-1, 0] - 0.1) / 0.8 * MOST).astype(int)
        return (lstm.update(adam, learner), count), (errors.sum(), asked.sum())

    keys = jax.random.split(jax.random.key(2), STRETCHES)
    (learner, _), errors = jax.lax.scan(stretch, (learner, jnp.array(0)), keys)
    return learner, errors


# %%
old = lstm.Architecture(4, (1, 1, 1), 1)
learners, curves = {}, {}
for name, of, told, biases in (
    ("1997", old, False, {}),
    ("1997, told where to start anew", old, True, {}),
    ("with forget gates", net, False, {"forget_gate_bias": (2.0, 2.0, 2.0)}),
):
    learners[name], (errors, number) = live(of, start(of, **biases), told)
    by_part = lambda a: a.reshape(100, -1).sum(1)
    curves[name] = by_part(errors) / by_part(number) / 0.8 * MOST
    print(f"{name}: {size(learners[name]):,} bytes, error at the end {curves[name][-1]:.2f}")

# %% [markdown]
# Without a way to forget, the cells drown in all that they ever counted. Told where to start anew,
# they learn; with forget gates they need not be told.

# %%
figure, (axes,) = style.new_figure(7.5, 3.4)
steps = STRETCH * STRETCHES / 100 * jnp.arange(1, 101)
for (name, curve), colour in zip(curves.items(), (style.VERMILION, style.BLACK, style.BLUE)):
    axes.plot(steps, curve, color=colour, label=name)
axes.set(xlabel="steps of the stream", ylabel="mean error of the count", ylim=(0, None))
style.with_thousands(axes)
style.add_legend(axes)
figure

# %% [markdown]
# ## What the forget gates do
# A forget gate of 1 keeps the state, one of 0 drops it. Look for the block whose forget gate shuts
# at `#`: there the count starts anew. At `.` and `?` it is wide open, for the count must last.

# %%
parameters = learners["with forget gates"].parameters
symbols, counts, asked = stream(jax.random.key(3), 60)
plots.network_at_work(
    net, parameters, symbols, targets=jnp.where(asked[:, None], counts, jnp.nan),
    symbols=SYMBOLS, classes=("count",), title="after 200,000 steps",
)  # fmt: skip

# %%
batch = jax.vmap(lambda key: stream(key, 100)[0])(jax.random.split(jax.random.key(4), 50))
plots.gates_at_symbols(net, parameters, batch, symbols=SYMBOLS, title="how open the gates are")

# %% [markdown]
# A gap in the stream, where nothing is known, is `mask=False`: the learner stays as it is.
