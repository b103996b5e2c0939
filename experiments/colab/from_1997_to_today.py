# %% [markdown]
# # From 1997 to today
#
# The cell of 1997 keeps what it has for ever. In 2000 it got a **forget gate**, in 2002
# **peepholes** to its own state, and around 2005 the full gradient and `tanh`: that is the layer
# which libraries have today. All are one description here, a field apart. Here each learns the same
# task.

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

from lstm_jax import plots
from lstm_jax.tasks import Example, Hyperparameters, StreamRule, Task, within

# %% [markdown]
# ## The task
# Forty symbols: `|` counts one up, to three at most, `#` sets the count back, `.` means nothing. At
# the end the count must be told: 0.1, 0.37, 0.63 or 0.9.


# %%
def sample(key, data):
    """Symbols 0 (#), 1 (|) and 2 (.), and the count at the end."""
    symbols = jax.random.choice(key, 3, (40,), p=jnp.array([0.1, 0.15, 0.75]))

    def count(before, symbol):
        return jnp.where(symbol == 0, 0, jnp.minimum(before + (symbol == 1), 3)), None

    last, _ = jax.lax.scan(count, 0, symbols)
    target = jnp.array([0.1 + 0.8 * last / 3])
    return Example(symbols.astype(jnp.int32), target, target, jnp.int32(40))


print("".join("#|."[i] for i in sample(jax.random.key(0), None).inputs))

# %% [markdown]
# ## The cells
# Each architecture differs from the one above it in what its line says.

# %%
cell_1997 = lstm.Architecture(num_inputs=3, blocks=(1, 1, 1), num_outputs=1)
forget_2000 = dataclasses.replace(cell_1997, forget_gates=True)
peephole_2002 = dataclasses.replace(forget_2000, peepholes=True)
today = dataclasses.replace(forget_2000, recurrent="cells", cell_input="tanh", cell_output="tanh")
for net in (cell_1997, forget_2000, peephole_2002, today):
    print(f"{net.num_weights} weights")


# %%
def learn(net, gradient="truncated"):
    """Eight trials with Adam; solved when 500 sequences in turn were right."""
    bias = (3.0, 3.0, 3.0) if net.forget_gates else None
    task = Task(
        architecture=net,
        sample=sample,
        is_correct=within(0.2),
        hyperparameters=Hyperparameters(
            learning_rate=0.01,
            optimiser="adam",
            gradient=gradient,
            init_range=0.2,
            forget_gate_bias=bias,
        ),
        rule=StreamRule(500, max_wrong=5),
        max_sequences=10_000,
    )
    return lstm.TrialRunner(lstm.TrainingLoop(task, chunk=500), range(8)).run()


# %%
results = {
    "1997": learn(cell_1997),
    "forget gates": learn(forget_2000),
    "and peepholes": learn(peephole_2002),
}
plots.compare_trials(results)

# %% [markdown]
# In the run that is shown here, all of the first two kinds learn it; some with forget gates do so
# sooner. Peepholes, nine more weights that see states of any size, were in the way.
#
# ## Both gradients
# Today's layer, by the full gradient that today's libraries use, and by the truncated one of 1997:
# the same network, one word apart.

# %%
modern = {
    "today, full gradient": learn(today, "full"),
    "today, truncated gradient": learn(today, "truncated"),
}
plots.compare_trials(modern)

# %% [markdown]
# ## What the gates learned
# They are what one looks at first, but in the run shown here the forget gates stay open: for 40
# steps it is enough to hide what is past, which the output gates do at `#`. The states meanwhile
# drift away, as in 1997. In a stream without end that does not last: there forget gates are needed,
# as the notebook `a_stream_that_never_ends` shows.

# %%
trial = next(trial for trial in modern["today, full gradient"] if trial.solved)
parameters = jax.tree.map(jnp.asarray, trial.model.parameters)
batch = jax.vmap(lambda key: sample(key, None).inputs)(jax.random.split(jax.random.key(1), 50))
plots.gates_at_symbols(today, parameters, batch, symbols="#|.", title="today, full gradient")

# %%
plots.network_at_work(
    today, parameters, batch[0], symbols="#|.", classes=("count",), title="one sequence"
)

# %% [markdown]
# ## The same layer elsewhere
# A hidden layer as today's goes to other libraries and comes from them, as arrays by their names.
# Here flax's own layer takes what was learned above, and does the same (where flax is installed).

# %%
arrays = lstm.to_library("flax.nnx.LSTMCell", today, parameters)
print({f"{name}.{part}": a.shape for name, of in arrays.items() for part, a in of.items()})
steps = jax.nn.one_hot(batch[0], 3)
ours = lstm.unroll(today, parameters, steps)[0].cell_output
if find_spec("flax"):
    from flax import nnx

    cell = nnx.LSTMCell(3, 3, rngs=nnx.Rngs(0))
    state = nnx.state(cell, nnx.Param)
    nnx.replace_by_pure_dict(state, arrays)
    nnx.update(cell, state)
    carry = (jnp.zeros(3), jnp.zeros(3))
    theirs = jnp.stack([(carry := cell(carry, x_t)[0])[1] for x_t in steps])
    print(f"largest difference to flax over 40 steps: {jnp.abs(ours - theirs).max():.1e}")
