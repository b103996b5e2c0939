"""Tasks on data of one's own: what is prepared, what is minimised, and what is reported.

`--task=my.py:task` takes an `OwnTask` from a file. This one is a regression with another loss:

    import jax.numpy as jnp
    from experiments.own_data.tasks import OwnTask

    def absolute_error(net, targets, weights):  # of a sequence: [K], or [T, K] with weights [T]
        return jnp.sum(jnp.abs(net - targets))

    task = OwnTask(loss=absolute_error)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from experiments.cli.python_file import load_object
from experiments.own_data.files import Data
from lstm_jax import Task, half_squared_error, plots, scores, softmax_cross_entropy
from lstm_jax.data import Scaler, fit_scaler, split, split_time, windows
from lstm_jax.network.files import Document
from lstm_jax.plots import style

MAX_CLASSES = 30  # of a picture

Loss = Callable[[jax.Array, ArrayLike, jax.Array | None], jax.Array]
About = Document  # what `predict` must know of the data, as JSON


class DataOptions(NamedTuple):
    """The flags that decide how data are prepared."""

    window: int = 32
    horizon: int = 1
    target: Sequence[str] = ()
    seed: int = 0


class Part(NamedTuple):
    """Sequences and their targets, ready for a network."""

    inputs: list[np.ndarray]
    targets: list[np.ndarray]


class Prepared(NamedTuple):
    """Parts for training, validation and test."""

    parts: list[Part]
    num_outputs: int
    per_step: bool
    about: About


Scores = tuple[dict[str, float], "style.Figure | None"]  # of the test part, and a picture
Report = Callable[[Part, list[np.ndarray], About], Scores]  # of outputs


# Preparation: `encode` is also `predict`'s, with what was fitted to the training part ------------


def encode(inputs: Sequence[np.ndarray], about: About) -> list[np.ndarray]:
    """Return sequences as the network takes them: scaled channels, or numbered symbols."""
    if "symbols" not in about:
        scaler = _scaler(about["scaler"])
        return [scaler.transform(sequence).astype(np.float32) for sequence in inputs]
    numbers = {symbol: i for i, symbol in enumerate(about["symbols"])}
    for symbol in {str(s) for sequence in inputs for s in sequence} - {*numbers}:
        raise ValueError(f"symbol {symbol!r} does not occur in the training data")
    return [np.array([numbers[str(s)] for s in sequence], np.int32) for sequence in inputs]


def encode_data(data: Data, about: About) -> list[np.ndarray]:
    """Return the sequences of a new file; raise ValueError if the network takes other inputs."""
    if ("symbols" in about) != data.are_symbols or data.channels != about.get("channels", []):
        wanted = about.get("channels", ["symbols"])
        found = (
            f"the network needs {', '.join(wanted)}, got {', '.join(data.channels) or 'symbols'}"
        )
        others = [name for name in data.channels if name not in wanted]
        has_all = {*wanted} < {*data.channels}
        raise ValueError(found + f"; --ignore={','.join(others)} leaves out the rest" * has_all)
    return encode(data.inputs, about)


def about_inputs(data: Data, training: Sequence[np.ndarray]) -> About:
    """Return the scaling of the training part, or all symbols of the file."""
    if data.are_symbols:
        return {"symbols": _in_order({str(s) for sequence in data.inputs for s in sequence})}
    return {"scaler": _document(fit_scaler(training)), "channels": data.channels}


def prepare_classes(data: Data, options: DataOptions) -> Prepared:
    """Replace labels by numbers, and give every class its share in every part."""
    if data.labels is None:
        raise ValueError("classify needs labels, but the data have none")
    per_step = np.ndim(data.labels[0]) > 0
    classes = _in_order({str(label) for each in data.labels for label in np.atleast_1d(each)})
    if len(classes) < 2:
        raise ValueError(f"labels must be of two classes or more, got {', '.join(classes)}")
    numbers = {name: i for i, name in enumerate(classes)}
    of = lambda each: np.array([numbers[str(label)] for label in np.atleast_1d(each)], np.int32)
    targets = [of(each) if per_step else of(each)[0] for each in data.labels]
    parts = split(len(targets), seed=options.seed, labels=None if per_step else np.array(targets))
    return _prepared(data, targets, parts, len(classes), per_step, {"classes": classes})


def _in_order(names: set[str]) -> list[str]:
    return sorted(names, key=int if all(name.isdigit() for name in names) else None)


def prepare_numbers(data: Data, options: DataOptions) -> Prepared:
    """Take inputs and targets as they are, the inputs scaled."""
    if data.targets is None:
        raise ValueError("this task needs the array 'targets' of a .npz file")
    per_step = data.targets[0].ndim == 2
    targets = [np.atleast_1d(each).astype(np.float32) for each in data.targets]
    parts = split(len(targets), seed=options.seed)
    return _prepared(data, targets, parts, targets[0].shape[-1], per_step, {})


def _prepared(
    data: Data,
    targets: list[np.ndarray],
    parts: Sequence[np.ndarray],
    num_outputs: int,
    per_step: bool,
    about: About,
) -> Prepared:
    about = about | about_inputs(data, [data.inputs[i] for i in parts[0]])
    inputs = encode(data.inputs, about)
    found = [Part([inputs[i] for i in part], [targets[i] for i in part]) for part in parts]
    return Prepared(found, num_outputs, per_step, about)


def prepare_forecast(data: Data, options: DataOptions) -> Prepared:
    """Cut every series by time, scale by the earliest part, and cut each part into windows.

    Every step of the later parts is a target; the inputs of the first ones are of the part before.
    """
    if data.are_symbols:
        raise ValueError("forecast needs numbers; for symbols, --task=next-symbol")
    for name in sorted({*options.target} - {*data.channels}):
        raise ValueError(f"--target={name} is not one of {', '.join(data.channels)}")
    target = list(options.target) or data.channels
    index = [data.channels.index(name) for name in target]
    context = options.window + options.horizon - 1
    of = lambda series, part: series[max(part.start - context, 0) : part.stop]
    cuts = [[of(series, part) for part in split_time(len(series))] for series in data.inputs]
    about = about_inputs(data, [parts[0] for parts in cuts])
    about |= {"window": options.window, "horizon": options.horizon, "target": target}
    found = []
    for series in zip(*cuts, strict=True):
        try:
            cut = [
                windows(s, options.window, horizon=options.horizon) for s in encode(series, about)
            ]
        except ValueError as error:
            raise ValueError(f"{error} in its first 70 %; a smaller --window fits") from error
        ahead = [targets[:, index] for _, targets in cut]
        found.append(Part(list(np.concatenate([x for x, _ in cut])), list(np.concatenate(ahead))))
    return Prepared(found, len(index), False, about)


def prepare_symbols(data: Data, options: DataOptions) -> Prepared:
    """Make every symbol the target of those before it, in pieces of one window."""
    if not data.are_symbols:
        raise ValueError("next-symbol needs symbols, but the inputs are numbers")
    about = about_inputs(data, data.inputs)
    sequences = encode(data.inputs, about)
    if len(sequences) == 1:
        groups = [[sequences[0][part]] for part in split_time(len(sequences[0]))]
    else:
        parts = split(len(sequences), seed=options.seed)
        groups = [[sequences[i] for i in part] for part in parts]
    found = []
    for group in groups:
        pieces = [
            s[i : i + options.window + 1] for s in group for i in range(0, len(s), options.window)
        ]
        pieces = [piece for piece in pieces if len(piece) > 1]
        if not pieces:
            raise ValueError("next-symbol needs sequences of two symbols or more in every part")
        found.append(Part([piece[:-1] for piece in pieces], [piece[1:] for piece in pieces]))
    return Prepared(found, max(len(about["symbols"]), 2), True, about)


def _document(scaler: Scaler) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in scaler._asdict().items()}


def _scaler(document: dict[str, list[float]]) -> Scaler:
    return Scaler(**{name: np.array(values) for name, values in document.items()})


def in_units(values: np.ndarray, about: About) -> np.ndarray:
    """Return forecasts in the units of the file."""
    index = [about["channels"].index(name) for name in about["target"]]
    return _scaler(about["scaler"]).select(index).inverse(values.astype(np.float64))


# Reports on the test part ------------------------------------------------------------------------


def report_classes(part: Part, outputs: list[np.ndarray], about: About) -> Scores:
    """Return the accuracy, and the confusion matrix as a picture."""
    names = about.get("classes") or about["symbols"]
    true = np.concatenate([np.atleast_1d(each) for each in part.targets])
    probabilities = np.concatenate([np.atleast_2d(each) for each in outputs])
    predicted = probabilities.argmax(1)
    of_true = np.maximum(probabilities[np.arange(len(true)), true], 1e-30)
    bits = float(-np.log2(of_true).mean())
    found = {"accuracy": scores.accuracy(true, predicted), "bits": bits}
    if len(names) > MAX_CLASSES:
        return found, None
    matrix = scores.confusion_matrix(true, predicted, probabilities.shape[1])
    return found, plots.confusion_matrix(matrix[: len(names), : len(names)], classes=names)


def report_forecast(part: Part, outputs: list[np.ndarray], about: About) -> Scores:
    """Return the errors beside those of persistence, in the units of the file."""
    index = [about["channels"].index(name) for name in about["target"]]
    known = [sequence[-1, index] for sequence in part.inputs]
    stacks = map(np.stack, (part.targets, outputs, known))
    came, forecast, last = (in_units(stack, about) for stack in stacks)
    errors = scores.forecast_errors(came, forecast, last)
    title = f"{about['horizon']} step{'s' * (about['horizon'] > 1)} ahead, test part"
    figure = plots.forecast(came, forecast, last_known=last, names=about["target"], title=title)
    return errors._asdict(), figure


def report_numbers(part: Part, outputs: list[np.ndarray], about: About) -> Scores:
    """Return the root of the mean squared difference between outputs and targets."""
    pairs = zip(outputs, part.targets, strict=True)
    difference = np.concatenate([np.ravel(output - target) for output, target in pairs])
    return {"rmse": float(np.sqrt(np.mean(difference**2)))}, None


# The tasks ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class OwnTask:
    """A task on data of one's own."""

    loss: Loss
    """(net inputs, targets, weights) -> the loss of a sequence, as `half_squared_error`."""
    output: str = "identity"
    """The activation of the output units."""
    prepare: Callable[[Data, DataOptions], Prepared] = prepare_numbers
    report: Report = report_numbers


TASKS = {
    "classify": OwnTask(softmax_cross_entropy, "softmax", prepare_classes, report_classes),
    "forecast": OwnTask(half_squared_error, "identity", prepare_forecast, report_forecast),
    "next-symbol": OwnTask(softmax_cross_entropy, "softmax", prepare_symbols, report_classes),
    "regress": OwnTask(half_squared_error),
}


def find_task(name: str) -> OwnTask:
    """Return a task by its name, or as FILE.py:NAME; raise ValueError if there is none."""
    if name in TASKS:
        return TASKS[name]
    if ":" not in name:
        raise ValueError(f"--task must be one of {', '.join(TASKS)} or FILE.py:NAME, got {name}")
    task = load_object(name)
    if isinstance(task, Task):
        run = f"python -m experiments.own_task --task={name}"
        raise ValueError(f"--task={name} is an lstm_jax.Task, which draws its sequences: {run}")
    if not isinstance(task, OwnTask):
        found = type(task).__name__
        raise ValueError(f"--task={name} must name an OwnTask, got {found}")
    return task
