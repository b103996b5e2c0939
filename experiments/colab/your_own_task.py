# %% [markdown]
# # Your own task
#
# A problem needs three things: a network, a generator of sequences, and what counts as right. Here
# is one in twenty lines: two letters come among noise, one at the start and one some thirty steps
# later. At the end it must be told which they were.

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
import optax

from lstm_jax import plots
from lstm_jax.tasks import Example, Hyperparameters, Task, within
from lstm_jax.training.runs.progress import Bar

# %% [markdown]
# ## The task
# `sample` draws one sequence from a random key. Inputs are symbols' numbers: 0 and 1 are letters
# that matter, 2 to 5 are noise. The two targets are the two letters, to be told at the end.


# %%
def sample(key, data):
    """Letters 0 or 1 at the start and after some thirty steps; else noise."""
    noise_key, letter_key, place_key = jax.random.split(key, 3)
    letters = jax.random.bernoulli(letter_key, shape=(2,)).astype(jnp.int32)
    second = jax.random.randint(place_key, (), 25, 35)
    symbols = jax.random.randint(noise_key, (50,), 2, 6)
    symbols = symbols.at[0].set(letters[0]).at[second].set(letters[1])
    targets = letters.astype(jnp.float32)
    return Example(symbols, targets, targets, jnp.int32(50))


# %%
task = Task(
    architecture=lstm.Architecture(num_inputs=6, blocks=(1, 1, 1), num_outputs=2),
    sample=sample,
    is_correct=within(0.3),
    name="two letters",
    hyperparameters=Hyperparameters(
        learning_rate=0.5, init_range=0.2, input_gate_bias=(-1.0, -2.0, -3.0)
    ),
    max_sequences=30_000,
)

# %%
names = ("0", "1", "a", "b", "c", "d")
for one in task.sample_batch(jax.random.key(0), 3).inputs:
    print("".join(names[i] for i in one))

# %% [markdown]
# ## Twenty trials
# A trial is solved when its last 2,000 training sequences were all right; then it is tested on
# 2,560 new ones.

# %%
loop = lstm.TrainingLoop(task)
with Bar("memory cells") as bar:
    trials = lstm.TrialRunner(loop, range(20)).run(on_chunk=bar.show)
plots.learning_curves(trials, title="two letters, memory cells of 1997")

# %%
wrong = [trial.test_wrong for trial in trials if trial.solved]
print(f"{len(wrong)} of {len(trials)} solved; of 2,560 new sequences wrong: {wrong}")

# %% [markdown]
# ## A rival beside it
# A conventional recurrent net of about as many weights, trained by backpropagation through time on
# the same sequences, at the same rate. A rival is a task with another `architecture`, and a method.

# %%
from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.update_rules import RecurrentPerSequence

net = RecurrentNet(num_inputs=6, num_hidden=8, num_outputs=2, connections="full", bias=True)
print(f"{net.num_weights} weights, the cells have {task.architecture.num_weights}")
baseline = dataclasses.replace(task, architecture=net)
method = lstm.Vmapped(RecurrentPerSequence(baseline, optax.sgd(0.5), bptt_gradient))
with Bar("conventional net") as bar:
    runner = lstm.TrialRunner(lstm.TrainingLoop(baseline, method, 1000), range(20))
    baselines = runner.run(on_chunk=bar.show)

# %%
plots.compare_trials({"memory cells": trials, "conventional net": baselines})

# %% [markdown]
# ## How a solved network does it
# Its first letter is 0, its second one 1.

# %%
solved = next(trial for trial in trials if trial.solved)
parameters = jax.tree.map(jnp.asarray, solved.model.parameters)
batch = task.sample_batch(jax.random.key(5), 16)
is_01 = (batch.targets == jnp.array([0.0, 1.0])).all(1)
one = jax.tree.map(lambda a: a[is_01.argmax()], batch)  # first 0, then 1
plots.network_at_work(
    task.architecture, parameters, one.inputs, targets=one.targets, symbols=names,
    classes=("the first letter", "the second letter"),
)  # fmt: skip
