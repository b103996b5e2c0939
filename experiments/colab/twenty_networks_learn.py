# %% [markdown]
# # Twenty networks learn
#
# A stream of letters: `E`, some forty to fifty of `a`, `b`, `c`, `d` at random, an `X` or a `Y`
# among them, as many random ones again, another `X` or `Y`, some fifty more, and at last `B`.
# At `B` the network must say in which order the two came: `XX`, `XY`, `YX` or `YY`.
#
# This is experiment 6a of Hochreiter & Schmidhuber (1997). What matters is seen twice, for one
# step each, up to a hundred steps before it is asked for. Twenty networks learn it here, and then
# one of them is opened.

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
import jax

from lstm_jax import plots
from lstm_jax.training.runs.progress import Bar

task = lstm.make_task("6a")
symbols, classes = plots.symbol_names("6a"), plots.class_names("6a")
batch = task.sample_batch(jax.random.key(0), 4)
for inputs, length, target in zip(batch.inputs, batch.length, batch.targets):
    print("".join(symbols[i] for i in inputs[:length]), "→", classes[target.argmax()])

# %% [markdown]
# The network is small: two memory blocks of two cells, 156 weights. Its input gates start nearly
# shut (their biases at -2 and -4), so that nothing is stored before the network knows what for.

# %%
task.architecture

# %% [markdown]
# ## They learn
# Each of the twenty starts from weights and sequences of its own, and sees every sequence once.
# One is solved when its last 2,000 sequences were all right.

# %%
loop = lstm.TrainingLoop(task)
runner = lstm.TrialRunner(loop, range(20), seed=0)
live, bar = plots.LiveCurve("temporal order, twenty networks"), Bar("6a")
while not runner.finished:
    progress = runner.run_chunk()
    live.show(progress)
    bar.show(progress)
trials = runner.results()

# %% [markdown]
# Nothing happens for a long time: guessing "each class with a quarter" is all that can be done
# until some gate, by chance, opens a little more at X than at Y. Then it goes fast. Every line is
# a network; its dot is where it was solved.

# %%
published = task.published
plots.learning_curves(
    trials,
    title="temporal order (6a), the paper's conditions",
    published_mean=published.mean_sequences,
    published_rate=published.success_rate,
)

# %%
for trial in trials[:5]:
    found = "solved after" if trial.solved else "unsolved after"
    print(f"network {trial.index}: {found} {trial.sequences:,} sequences,", end=" ")
    print(f"{trial.test_wrong} of {trial.test_size} new ones wrong")

# %% [markdown]
# ## One of them, opened
# Blue is the first block, vermilion the second; dashes are a block's second cell. A state that
# steps and then stays is a memory: the constant error carrousel holds it without any loss.

# %%
net = task.architecture
solved = next(trial for trial in trials if trial.solved)
parameters = jax.tree.map(jax.numpy.asarray, solved.model.parameters)
wanted = task.sample_batch(jax.random.key(1), 64)
one = [int((wanted.targets.argmax(1) == k).argmax()) for k in range(4)]  # of each class
plots.network_at_work(
    net, parameters, wanted.inputs[one[1]], length=int(wanted.length[one[1]]),
    targets=wanted.targets[one[1]], symbols=symbols, classes=classes,
    title=f"network {solved.index}, a sequence with X, then Y",
)  # fmt: skip

# %% [markdown]
# The same network with Y first. Compare where the states go.

# %%
plots.network_at_work(
    net, parameters, wanted.inputs[one[2]], length=int(wanted.length[one[2]]),
    targets=wanted.targets[one[2]], symbols=symbols, classes=classes,
    title=f"network {solved.index}, a sequence with Y, then X",
)  # fmt: skip

# %% [markdown]
# ## What its gates do at X, at Y, at the trigger
# The mean of every gate at every symbol, over 200 new sequences. Nobody told the network that X,
# Y and B matter and that a, b, c and d do not.

# %%
test = task.sample_batch(jax.random.key(2), 200)
plots.gates_at_symbols(
    net, parameters, test.inputs, test.length, symbols=symbols, title="how open the gates are"
)

# %% [markdown]
# The library says the same in words. A finding with a remedy is a trouble, as the paper knows
# them; one without says what a gate listens to. A trouble need not be fatal: in the run that is
# shown here the second block does the work, while the first one drifts, its two cells doing the
# same, and yet the task is solved.

# %%
for finding in lstm.diagnose(net, parameters, test.inputs, test.length, symbols=symbols):
    print(f"- {finding}")
