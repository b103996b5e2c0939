# %% [markdown]
# # Your own task
#
# A task needs a network, a generator of sequences, and a criterion for correct outputs. In this
# example two letters come among noise, one at the start and one about thirty steps later. The
# targets at the end are the two letters.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import dataclasses

import jax
import jax.numpy as jnp
import optax

from lstm_jax import plots
from lstm_jax.baselines.fully_recurrent import RecurrentNet, bptt_gradient
from lstm_jax.baselines.gradient_descent import RecurrentUpdate
from lstm_jax.tasks import Example, Hyperparameters, Task, within
from lstm_jax.training.host.interrupts import defer_signals
from lstm_jax.training.runs.progress import Bar

# %% [markdown]
# ## The task
# `sample` draws one sequence from a random key. The inputs are the numbers of symbols: 0 and 1 are
# the letters, 2 to 5 are noise.


# %%
def sample(key, data):
    """Draw noise with a letter 0 or 1 at the start and another after 25 to 34 steps."""
    noise_key, letter_key, index_key = jax.random.split(key, 3)
    letters = jax.random.bernoulli(letter_key, shape=(2,)).astype(jnp.int32)
    second = jax.random.randint(index_key, (), 25, 35)
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
for symbols in task.sample_batch(jax.random.key(0), 3).inputs:
    print("".join(names[i] for i in symbols))

# %% [markdown]
# ## Twenty trials
# A trial is solved when its last 2,000 training sequences were correct. It is then tested on 2,560
# new ones. If you stop the second cell, run it again: the trials go on from where they were.

# %%
runner = lstm.TrialRunner(lstm.TrainingLoop(task), range(20))

# %%
with Bar("memory cells") as bar, defer_signals("Pausing after this chunk.") as interrupts:
    while not (runner.finished or interrupts.requested()):
        bar.show(runner.run_chunk())
if not runner.finished:
    print("Paused. Run this cell again to go on.")

# %%
trials = runner.results()
plots.learning_curves(trials, title="two letters, memory cells of 1997")

# %%
wrong = [trial.test_wrong for trial in trials if trial.solved]
print(f"{len(wrong)} of {len(trials)} solved; wrong of 2,560 test sequences: {wrong}")

# %% [markdown]
# ## A baseline
# A conventional recurrent net with about as many weights, trained by backpropagation through time
# on the same sequences at the same learning rate. A baseline is a task with another `architecture`,
# and an update rule.

# %%
net = RecurrentNet(num_inputs=6, num_hidden=8, num_outputs=2, connections="full", bias=True)
print(f"{net.num_weights} weights; the memory cells have {task.architecture.num_weights}")
baseline = dataclasses.replace(task, architecture=net)
rule = lstm.Vmapped(RecurrentUpdate(baseline, optax.sgd(0.5), bptt_gradient))
loop = lstm.TrainingLoop(baseline, update_rule=rule, chunk=1000)
with Bar("conventional net") as bar:
    baseline_trials = lstm.TrialRunner(loop, range(20)).run(on_chunk=bar.show)

# %%
plots.compare_trials({"memory cells": trials, "conventional net": baseline_trials})

# %% [markdown]
# ## A solved network at work
# The first letter is 0, the second one 1.

# %%
shown = next((trial for trial in trials if trial.solved), trials[0])
if not shown.solved:
    print("No trial has solved the task. The picture shows the first one as it is.")
parameters = jax.tree.map(jnp.asarray, shown.model.parameters)
batch = task.sample_batch(jax.random.key(5), 16)
is_01 = (batch.targets == jnp.array([0.0, 1.0])).all(1)
example = jax.tree.map(lambda array: array[is_01.argmax()], batch)
plots.network_at_work(
    task.architecture, parameters, example.inputs, targets=example.targets, symbols=names,
    classes=("first letter", "second letter"),
)  # fmt: skip

# %% [markdown]
# ## Exercises
# **1.** Add 150 steps of noise at the end. Which two things in the `Example` change?
#
# <details><summary>Answer</summary>
#
# The inputs and the length. If the length stayed at 50, the added steps would count as padding.
#
# ```python
# def sample_longer(key, data):
#     example = sample(key, data)
#     added = jax.random.randint(jax.random.fold_in(key, 1), (150,), 2, 6)
#     return example._replace(inputs=jnp.append(example.inputs, added), length=jnp.int32(200))
#
#
# assert sample_longer(jax.random.key(0), None).inputs.shape == (200,)
# ```
# </details>
#
# **2.** Ask whether the two letters are equal. What changes in the task?
#
# <details><summary>Answer</summary>
#
# The targets, and the number of outputs: one is enough.
#
# ```python
# def sample_equal(key, data):
#     example = sample(key, data)
#     is_equal = (example.targets[:1] == example.targets[1:]).astype(jnp.float32)
#     return example._replace(targets=is_equal, true_targets=is_equal)
#
#
# one_output = dataclasses.replace(task.architecture, num_outputs=1)
# equal_task = dataclasses.replace(task, architecture=one_output, sample=sample_equal)
# assert equal_task.sample_batch(jax.random.key(0), 8).targets.shape == (8, 1)
# ```
# </details>
