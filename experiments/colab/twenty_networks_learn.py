# %% [markdown]
# # Twenty networks learn
#
# This is experiment 6a of Hochreiter & Schmidhuber (1997). A sequence has 100 to 110 letters. It
# begins with `E` and ends with the trigger `B`. In between are random letters `a`, `b`, `c`, `d`,
# except at two positions (counted from 0): one from 10 to 20 and one from 50 to 60. Each of these
# holds an `X` or a `Y`. At `B` the network must classify their order: `XX`, `XY`, `YX` or `YY`.
#
# Each `X` or `Y` lasts one step. The first one comes 79 to 99 steps before the answer, the second
# one 39 to 59 steps. Twenty networks learn the task here. Then we look inside one of them.

# %%
import lstm_jax as lstm

lstm.configure_cpu()  # the cell of _setup.py

# %%
import jax
import jax.numpy as jnp

from lstm_jax import plots
from lstm_jax.training.host.interrupts import defer_signals
from lstm_jax.training.runs.progress import Bar

task = lstm.make_task("6a")
symbols, classes = plots.symbol_names("6a"), plots.class_names("6a")
batch = task.sample_batch(jax.random.key(0), 4)
for inputs, length, target in zip(batch.inputs, batch.length, batch.targets):
    print("".join(symbols[i] for i in inputs[:length]), "→", classes[target.argmax()])

# %% [markdown]
# The network has two memory blocks of two cells and 156 weights. The input gate biases start at -2
# and -4, so that little is stored before training.

# %%
net = task.architecture
net

# %% [markdown]
# ## Training
# Every network has its own initial weights and sequences, and sees each sequence once. It is
# solved when its last 2,000 sequences were classified correctly, with a mean error below 0.1.

# %%
runner = lstm.TrialRunner(lstm.TrainingLoop(task), range(20), seed=0)

# %% [markdown]
# If you stop the next cell, the networks keep what they have learned. Run it again and they go on.

# %%
live = plots.LiveCurve("temporal order, twenty networks")
with Bar("6a") as bar, defer_signals("The training pauses after this chunk.") as interrupts:
    while not (runner.finished or interrupts.requested()):
        progress = runner.run_chunk()
        live.show(progress)
        bar.show(progress)
if not runner.finished:
    print("Paused. Run this cell again to go on.")

# %%
trials = runner.results()

# %% [markdown]
# For a long time the networks can only predict a quarter for each class. When a gate responds a
# little more to X than to Y, the error falls quickly. Each line is a network; its dot marks where
# it was solved.

# %%
plots.learning_curves(
    trials,
    title="temporal order (6a), the paper's hyperparameters",
    published_mean=task.published.mean_sequences,
    published_rate=task.published.success_rate,
)

# %%
for trial in trials[:5]:
    result = "solved after" if trial.solved else "unsolved after"
    print(f"network {trial.index}: {result} {trial.sequences:,} sequences,", end=" ")
    print(f"{trial.test_wrong} of {trial.test_size} test sequences wrong")

# %% [markdown]
# ## Inside one network
# The first block is blue, the second vermilion; the second cell of a block is dashed. A state that
# changes in a step and then stays is a memory: the constant error carrousel keeps it without loss.

# %%
shown = next((trial for trial in trials if trial.solved), trials[0])
if not shown.solved:
    print("No network has solved the task. The pictures show the first one as it is.")
parameters = jax.tree.map(jnp.asarray, shown.model.parameters)
samples = task.sample_batch(jax.random.key(1), 64)
first_of = [int((samples.targets.argmax(1) == k).argmax()) for k in range(4)]  # of each class


def draw(k):
    """Draw a sequence of a class."""
    i = first_of[k]
    return plots.network_at_work(
        net, parameters, samples.inputs[i], length=int(samples.length[i]),
        targets=samples.targets[i], symbols=symbols, classes=classes,
        title=f"network {shown.index}, a sequence of class {classes[k]}",
    )  # fmt: skip


draw(1)

# %% [markdown]
# The same network with Y first. Compare the states.

# %%
draw(2)

# %% [markdown]
# ## The gates at each symbol
# The mean of every gate at every symbol, over 200 test sequences. The network has learned that X, Y
# and B matter and that a, b, c and d do not.

# %%
test = task.sample_batch(jax.random.key(2), 200)
plots.gates_at_symbols(
    net, parameters, test.inputs, test.length, symbols=symbols, title="mean gate activations"
)

# %% [markdown]
# `diagnose` states the same in words. A finding with a remedy is one of the problems that the paper
# describes; the others say which symbols open a gate. A problem need not prevent the solution: in
# the run shown here the first block drifts and its two cells do the same, but the second block
# solves the task.

# %%
for finding in lstm.diagnose(net, parameters, test.inputs, test.length, symbols=symbols):
    print(f"- {finding}")

# %% [markdown]
# ## Exercises
# **1.** At which error are the curves flat at first? Compute the mean absolute error of a network
# that answers a quarter for each class.
#
# <details><summary>Answer</summary>
#
# One output is wrong by 0.75 and three by 0.25, so the mean is 1.5 / 4 = 0.375.
#
# ```python
# quarters = jnp.abs(batch.targets - 0.25).mean()
# assert abs(quarters - 0.375) < 1e-6
# ```
# </details>
#
# **2.** Exchange every `X` and `Y` in the test sequences. What should the network answer now, and
# does it?
#
# <details><summary>Answer</summary>
#
# The class whose two letters are exchanged: class k becomes 3 - k. A solved network answers this
# for nearly all sequences.
#
# ```python
# exchanged = jnp.where(test.inputs == 5, 6, jnp.where(test.inputs == 6, 5, test.inputs))
# run = lambda one, length: lstm.apply(
#     net, parameters, one, at="end", steps=lstm.Steps(length=length)
# )[0]
# answers = jax.vmap(run)(exchanged, test.length).argmax(1)
# assert (answers == 3 - test.targets.argmax(1)).mean() > 0.9
# ```
# </details>
