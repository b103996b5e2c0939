"""Training of a network on sequences of your own, from a .npz or .csv file.

    python -m experiments.fit --data=machines.csv --task=classify --out=DIR
    python -m experiments.fit --data=power.csv --task=forecast --horizon=5 --target=load --out=DIR
    python -m experiments.fit --data=text.csv --task=next-symbol --window=64 --out=DIR
    python -m experiments.fit --data=mine.npz --task=my.py:task --out=DIR

70 % of the data train the network, 15 % decide when to stop, and 15 % give the scores. The file
holds sequences as experiments/README.md, "Your own data", says. Written are net.safetensors (the
best network, for `predict`, `export` and `lstm_jax.load`), net.json (scores, history, what is
known of the data), net.state.safetensors (for --resume) and net.png, every minute and at the end: a
run that is killed goes on by --resume.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import jax
import optax

import lstm_jax as lstm
from experiments.cli.command import (
    Command,
    FlagSet,
    FlagValues,
    command_line,
    configure,
    import_extra,
)
from experiments.cli.files import check_free, draw_beside, make_folder
from experiments.own_data.files import read_data
from experiments.own_data.run import (
    NETWORKS,
    draw_weights,
    make_architecture,
    make_loss,
    net_inputs_of,
    outputs_of,
)
from experiments.own_data.tasks import DataOptions, OwnTask, Prepared, Report, find_task
from lstm_jax import Architecture, Epoch, FitResult, FitState, Parameters
from lstm_jax.data import batches
from lstm_jax.network.files import Document
from lstm_jax.training.fit import OnEpoch
from lstm_jax.training.host.interrupts import Interrupted
from lstm_jax.training.runs.checkpoints import locked
from lstm_jax.training.runs.result_file import about_run, read_object, write_json

FILES = ("net.safetensors", "net.json", "net.state.safetensors")  # in the order of writing
WRITE_SECONDS = 60.0  # between two writings during the training


def define(flags: FlagSet) -> None:
    flags.file("data", "The .npz or .csv file (required).")
    flags.text("task", None, "classify, forecast, next-symbol, regress or FILE.py:NAME.", True)
    flags.folder("out", "Folder for the results (required).")
    flags.items("ignore", [], "Columns of a .csv file that are not inputs.")
    flags.items("target", [], "Columns to be forecast (default: all).")
    flags.integer("window", 32, "Steps of a forecast's inputs, and of pieces of a text.", 1, 10**6)
    flags.integer("horizon", 1, "How many steps ahead a forecast is.", 1, 10**6)
    flags.choice("network", "modern", NETWORKS, "Forget gates and tanh, or the paper's cells.")
    flags.integer("cells", 16, "Memory cells.", 1, 4096)
    flags.choice("gradient", "truncated", ("truncated", "full"), "The gradient.")
    flags.number("learning_rate", 0.01, "Adam's learning rate.", 0.0, 1e3)
    flags.integer("batch_size", 32, "Sequences in a batch.", 1, 10**6)
    flags.integer("epochs", 100, "Epochs at most.", 1, 10**6)
    flags.integer("patience", 10, "Epochs without a lower validation loss before the end.", 1)
    flags.seed()
    flags.folder("logdir", "Folder for TensorBoard's scalars.", required=False)
    flags.switch("resume", False, "Go on from net.state.safetensors, if any, with the same flags.")
    flags.switch("overwrite", False, "Replace existing files.")
    flags.switch("quiet", False, "Print nothing but errors.")


def main(values: FlagValues) -> None:
    """Prepare the data, train, and write the network, its scores and its picture."""
    task = find_task(values.task)
    prepared = prepare(task, values)
    make_folder(values.out)
    for name in () if values.resume else FILES:
        check_free(values.out / name, values.overwrite)
    configure()
    with locked(values.out / "net.running"):
        result, document = train(task, prepared, values)
    if not values.quiet:
        print(summary(result, document["scores"]), flush=True)
        print(f"wrote {values.out / FILES[0]}, and beside it its scores, state and picture")
    if result.stopped == "interrupted":
        raise Interrupted(f"interrupted after {result.state.epoch} epochs; --resume continues")


def prepare(task: OwnTask, values: FlagValues) -> Prepared:
    """Read the file and return its parts; raise ValueError, which names it, if they do not fit."""
    data = read_data(values.data, values.ignore)
    options = DataOptions(values.window, values.horizon, values.target, values.seed)
    try:
        return task.prepare(data, options)
    except ValueError as error:
        raise ValueError(f"{values.data}: {error}") from error


def train(
    task: OwnTask, prepared: Prepared, values: FlagValues
) -> tuple[FitResult[Parameters], Document]:
    """Run `fit`, write the files, and return its result and the document of net.json."""
    training, validation, _ = prepared.parts
    first, symbols = training.inputs[0], prepared.about.get("symbols")
    num_inputs = first.shape[1] if symbols is None else len(symbols)
    sizes = num_inputs, values.cells, prepared.num_outputs
    net = make_architecture(values.network, *sizes, task.output)
    parameters = draw_weights(jax.random.key(values.seed), net)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(values.learning_rate))
    net_inputs = net_inputs_of(net, values.gradient)
    loss = make_loss(net_inputs, task.loss, prepared.per_step)
    how = {"size": values.batch_size, "per_step": prepared.per_step, "seed": values.seed}
    state = lstm.init_fit(parameters, optimiser)
    if values.resume and (values.out / FILES[2]).exists():
        state = lstm.load_state(values.out / FILES[2], state)
    output = Output(task.report, prepared, values, net, state.epoch)
    with reporting(values, output) as on_epoch:
        result = lstm.fit(
            *(loss, parameters, optimiser),
            lambda epoch: batches(*training, **how, epoch=epoch),
            epochs=values.epochs,
            validate=lstm.mean_loss(loss, list(batches(*validation, **how))),
            patience=values.patience,
            state=state,
            on_epoch=on_epoch,
        )
    if result.state.epoch == 0:
        if result.stopped == "interrupted":
            raise Interrupted("interrupted in the first epoch; nothing was written")
        raise ValueError("the first epoch was not finite; a lower --learning_rate may help")
    return result, output.write(result)


@contextlib.contextmanager
def reporting(values: FlagValues, output: Output) -> Iterator[OnEpoch]:
    """Write files, show epochs on a terminal and write TensorBoard's scalars, if asked for."""
    with contextlib.ExitStack() as stack:
        hooks: list[OnEpoch] = [output.on_epoch]
        if not values.quiet and sys.stderr.isatty():
            hooks.append(stack.enter_context(lstm.EpochBar()).show)
        if values.logdir is not None:
            tensorboard = import_extra("tensorboardX", "tensorboard", "--logdir")
            make_folder(values.logdir, "logdir")
            writer = contextlib.closing(tensorboard.SummaryWriter(str(values.logdir)))
            hooks.append(lstm.write_epochs(stack.enter_context(writer)))

        def on_epoch(epoch: Epoch, state: FitState) -> None:
            for hook in hooks:
                hook(epoch, state)

        yield on_epoch


class Output:
    """The files of a run. The state comes after the history that led to it.

    A run that is killed between two files thus continues from the earlier state, and drops what the
    history has beyond it.
    """

    def __init__(
        self, report: Report, prepared: Prepared, values: FlagValues, net: Architecture, epoch: int
    ) -> None:
        """Take up the history until `epoch`, if any."""
        self._report, self._prepared, self._values, self._net = report, prepared, values, net
        self._replace = values.overwrite or values.resume
        saved = read_object(values.out / FILES[1])["history"] if epoch else []
        self._before = [entry for entry in saved if entry[0] <= epoch]
        self._history: list[Epoch] = []
        self._written_at = time.monotonic()

    def on_epoch(self, epoch: Epoch, state: FitState) -> None:
        """Write the files if that was not done for a while."""
        self._history.append(epoch)
        if time.monotonic() - self._written_at >= WRITE_SECONDS:
            self.write(FitResult(state, self._history, "interrupted"))
            self._written_at = time.monotonic()

    def write(self, result: FitResult) -> Document:
        """Write all files; return the document of net.json."""
        values, prepared, replace = self._values, self._prepared, self._replace
        network, about, state = (values.out / name for name in FILES)
        test = prepared.parts[2]
        outputs = outputs_of(self._net, result.parameters, test.inputs, prepared.per_step)
        found, figure = self._report(test, outputs, prepared.about)
        document = {
            "about": prepared.about | {"task": values.task, "per_step": prepared.per_step},
            "scores": found,
            "test_sequences": len(test.inputs),
            "best_epoch": result.state.best_epoch,
            "stopped": result.stopped,
            "history": self._before + [[e.epoch, e.loss, e.score] for e in result.history],
        } | about_run(values.seed, command_line())
        lstm.save(network, self._net, result.parameters, overwrite=replace)
        write_json(about, document, overwrite=replace)
        lstm.save_state(state, result.state, overwrite=replace)
        self._replace = True  # from now on, the files are this run's
        if figure is not None:
            draw_beside(about, lambda: figure, replace)
        return document


def summary(result: FitResult, found: dict[str, float]) -> str:
    """Return a line on the training and one on the test part."""
    state = result.state
    why = {"patience": "no lower validation loss", "non-finite": "the loss was not finite"}
    end = f"{state.epoch} epochs ({why.get(result.stopped, result.stopped)})"
    best = f"best after {state.best_epoch}, validation loss {state.best_score:.4g}"
    return f"{end}, {best}\ntest: " + ", ".join(f"{k} {v:.4g}" for k, v in found.items())


COMMAND = Command("fit", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
