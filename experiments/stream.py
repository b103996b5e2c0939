"""Learning from a table as it comes, from a file or a pipe, with predictions of the next row.

    python -m experiments.stream --data=power.csv --target=load --out=DIR
    tail -f -n +1 power.csv | python -m experiments.stream --data=- --target=load --out=DIR
    python -m experiments.stream --data=power.csv --target=load --out=DIR --resume

The first line is a header; every other line is a row of numbers, of which any may be missing. Each
row first scores the prediction that was made for it, then teaches the network, and is then what the
next row is predicted from. Columns are normalised by their running mean and deviation.

Written are stream.csv (a prediction per row, in the units of the file), stream.state.safetensors
(the learner) and stream.json (the running errors). Every --every rows, at the end and at a signal
all three are brought up to date. --resume goes on from there to the same numbers: a file is
read on from the first row that was not learned, a pipe from what comes.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import math
import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.tree_utils import tree_where

import lstm_jax as lstm
from experiments.cli.command import Command, FlagSet, FlagValues, command_line, configure
from experiments.cli.files import check_free, make_folder
from experiments.own_data.run import NETWORKS, draw_weights, make_architecture
from lstm_jax import Architecture, Learner, streaming
from lstm_jax.network.streaming.normalisation import deviation
from lstm_jax.training.host.interrupts import Interrupted
from lstm_jax.training.runs.checkpoints import locked
from lstm_jax.training.runs.result_file import about_run, read_object, write_json

FILES = ("stream.csv", "stream.json", "stream.state.safetensors")  # in the order of writing


def define(flags: FlagSet) -> None:
    flags.text("data", None, "The .csv file, or - for the standard input (required).", True)
    flags.folder("out", "Folder for the results (required).")
    flags.items("target", [], "Columns to predict (default: all).")
    flags.items("ignore", [], "Columns that are not read.")
    flags.choice("network", "modern", NETWORKS, "Forget gates and tanh, or the paper's cells.")
    flags.integer("cells", 16, "Memory cells.", 1, 4096)
    flags.number("learning_rate", 0.003, "Adam's learning rate.", 0.0, 1e3)
    flags.integer("every", 1000, "Rows between two writings.", 1, 10**9)
    flags.seed()
    flags.switch("resume", False, "Go on from stream.state.safetensors, if any.")
    flags.switch("overwrite", False, "Replace existing files.")
    flags.switch("quiet", False, "Print nothing but errors.")


class StreamState(NamedTuple):
    """What a later run goes on from."""

    learner: Learner
    moments: streaming.Moments
    x_t: jax.Array  # [I], the last row, normalised
    prediction: jax.Array  # [K], of the next row, in its units
    latest: jax.Array  # [K], the last known targets
    squares: jax.Array  # [3]: number of scored targets, squared errors, those of the last value
    rows: int = 0
    written: int = 0  # bytes of stream.csv


@functools.partial(jax.jit, static_argnums=(0, 1))
def learn_row(
    net: Architecture,
    optimiser: optax.GradientTransformation,
    targets: jax.Array,
    state: StreamState,
    row: jax.Array,
) -> StreamState:
    """Score the last prediction by a row [I], learn it, and predict the next one."""
    wanted, is_known = row[targets], jnp.isfinite(row[targets])
    is_scored = is_known & (state.rows > 0) & jnp.isfinite(state.latest)
    errors = wanted - jnp.stack([wanted, state.prediction, state.latest])
    squares = jnp.where(is_scored[None], errors**2, 0).sum(1).at[0].set(is_scored.sum())
    x_t, moments = streaming.normalise(state.moments, row)
    is_taught = is_known.all() & (state.rows > 0)
    _, learner = lstm.learn(
        net, state.learner, state.x_t, x_t[targets], weight=is_taught, mask=state.rows > 0
    )
    learner = tree_where(is_taught, lstm.update(optimiser, learner), learner)
    hidden = lstm.step(net, learner.parameters, learner.state, x_t)
    outputs = lstm.output_units(net, learner.parameters.output, hidden)
    prediction = moments.mean[targets] + deviation(moments)[targets] * outputs
    latest = jnp.where(is_known, wanted, state.latest)
    total = state.squares + squares
    return StreamState(learner, moments, x_t, prediction, latest, total, state.rows, state.written)


def read_rows(file: Iterator[str], name: str, ignore: list[str]) -> tuple[list[str], Iterator]:
    """Return the columns of a table and an iterator over its rows, lists of floats."""
    lines = csv.reader(file)
    header = next(lines, [])
    for column in ({*ignore} - {*header}) if header else ():
        raise ValueError(f"{name} has no column {column!r} to ignore, but {', '.join(header)}")
    columns = [column for column in header if column not in ignore]
    if not columns or len({*header}) < len(header):
        raise ValueError(f"{name} must begin with a header of different columns, got {header}")

    def rows() -> Iterator[list[float]]:
        for line in lines:
            if line and len(line) != len(header):
                where = f"{name}, line {lines.line_num}"
                raise ValueError(f"{where}, must have {len(header)} columns, got {len(line)}")
            if line:
                cells = dict(zip(header, line, strict=True))
                yield [_number(cells[c], f"{name}, line {lines.line_num}, {c}") for c in columns]

    return columns, rows()


def _number(text: str, where: str) -> float:
    try:
        return float(text) if text.strip() else math.nan
    except ValueError as error:
        raise ValueError(f"{where}, must be a number or empty, got {text!r}") from error


def main(values: FlagValues) -> None:
    """Learn row by row until the data end, or a signal comes."""
    is_pipe = values.data == "-"
    if not is_pipe and not pathlib.Path(values.data).is_file():
        raise ValueError(f"--data must be an existing file or -, got {values.data}")
    with contextlib.ExitStack() as stack:
        path = pathlib.Path(values.data)
        opened = lambda: stack.enter_context(path.open(newline="", encoding="utf-8-sig"))
        columns, rows = read_rows(sys.stdin if is_pipe else opened(), values.data, values.ignore)
        for name in values.target:
            if name not in columns:
                raise ValueError(f"--target must be of {', '.join(columns)}, got {name!r}")
        make_folder(values.out)
        for name in () if values.resume else FILES:
            check_free(values.out / name, values.overwrite)
        configure()
        stack.enter_context(locked(values.out / "stream.running"))
        stream = Stream(columns, values.target or columns, values)
        stream.learn(rows if is_pipe else itertools.islice(rows, stream.state.rows, None))


class Stream:
    """A run: its state, and its files."""

    def __init__(self, columns: list[str], targets: list[str], values: FlagValues) -> None:
        """Begin, or go on from the files of an earlier run."""
        self._values, self._targets = values, targets
        self._places = jnp.array([columns.index(name) for name in targets])
        sizes = len(columns), values.cells, len(targets)
        self._net = make_architecture(values.network, *sizes, "identity")
        parameters = draw_weights(jax.random.key(values.seed), self._net)
        self._optimiser = optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(values.learning_rate)
        )
        learner = lstm.init_learner(self._net, parameters, self._optimiser)
        moments, unknown = streaming.init_moments(sizes[:1]), jnp.full(len(targets), jnp.nan)
        x_t, squares = jnp.zeros(len(columns)), jnp.zeros(3)
        self.state = StreamState(learner, moments, x_t, jnp.zeros(len(targets)), unknown, squares)
        self._history: list[list[float]] = []
        predictions, about, saved = (values.out / name for name in FILES)
        is_later = values.resume and saved.exists()
        if is_later:
            self.state = lstm.load_state(saved, self.state)
            entries = read_object(about)["history"]
            self._history = [entry for entry in entries if entry[0] <= self.state.rows]
        self._file = predictions.open("r+b" if is_later else "wb")
        self._file.truncate(self.state.written)
        self._file.seek(self.state.written)
        if not is_later:
            self._write_line(["row", *targets])

    def learn(self, rows: Iterator[list[float]]) -> None:
        """Learn rows until they end; write the files even if a signal ends them."""
        ending = "an error"
        try:
            for row in rows:
                self._learn_row(np.array(row, np.float32))
                if self.state.rows % self._values.every == 0:
                    self.write()
            ending = "the end of the data"
        except KeyboardInterrupt as error:
            ending = "a signal"
            number = self.state.rows
            raise Interrupted(f"interrupted after {number:,} rows; --resume continues") from error
        finally:
            self.write(f", {ending}")
            self._file.close()

    def _learn_row(self, row: np.ndarray) -> None:
        state = learn_row(self._net, self._optimiser, self._places, self.state, row)
        self._write_line([state.rows + 2, *np.asarray(state.prediction).tolist()])
        rows = int(self.state.rows) + 1
        self.state = state._replace(rows=rows, written=self._file.tell())

    def _write_line(self, cells: list) -> None:
        self._file.write((",".join(map(str, cells)) + "\n").encode())

    def write(self, ending: str = "") -> None:
        """Bring all files up to date and print the running errors."""
        state, values = self.state, self._values
        count, squares, of_last_value = map(float, state.squares)
        errors = [math.sqrt(x / max(count, 1)) for x in (squares, of_last_value)]
        if not self._history or self._history[-1][0] < state.rows:
            self._history.append([state.rows, *errors])
        self._file.flush()
        _, about, saved = (values.out / name for name in FILES)
        document = {"targets": self._targets, "history": self._history}
        write_json(about, document | about_run(values.seed, command_line()), overwrite=True)
        lstm.save_state(saved, state, overwrite=True)
        if not values.quiet:
            text = "root mean squared error {:.4g}, of the last value {:.4g}".format(*errors)
            print(f"{state.rows:,} rows{ending}: {text}", flush=True)


COMMAND = Command("stream", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
