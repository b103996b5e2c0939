"""Rows of the paper's tables, run in parallel: those of the LSTM, of the baselines, or a list.

    python -m experiments.reproduce --rows=all --out=DIR
    python -m experiments.reproduce --rows=baselines --workers=4 --out=DIR
    python -m experiments.reproduce --rows=6a,6b,2c-50-50 --out=DIR --resume

Rows run in worker processes, one per core; each writes its result file at its end, and lines of
progress that begin with the row. A run may be killed at any moment: --resume skips the rows that
have a result and continues the others from their checkpoints. With --coordinator, rows run one
after the other, each on the devices of all processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.rows import run
from experiments.rows.run import Row, RowOptions, resolve
from experiments.rows.text import text_table
from lstm_jax import baselines, row_names
from lstm_jax.training.host.interrupts import Interrupted

MAX_WORKERS = 256
_IS_WORKER = "LSTM_JAX_REPRODUCE_WORKER"  # in the environment
_WRITING = threading.Lock()  # held while a line is written


def define(flags: FlagSet) -> None:
    """Define the rows, the number of processes, and the flags of all commands that run rows."""
    flags.text(
        "rows", None, "'all', 'baselines', or rows separated by commas (required).", required=True
    )
    flags.integer("workers", 2, "Rows that run at the same time.", most=MAX_WORKERS)
    run.define_flags(flags)


def main(values: FlagValues) -> None:
    """Run the rows in worker processes, the longest first."""
    groups = {"all": row_names(), "baselines": baselines.row_names()}
    names = groups.get(values.rows) or values.rows.split(",")
    if _IS_WORKER in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        run.run_rows(names, values, print_table=False)
        return
    if len(names) == 1 or values.workers == 1 or values.coordinator is not None:
        run.run_rows(names, values)
        return
    options = RowOptions.of(values)
    rows = [resolve(name, options) for name in names]
    run.prepare(rows)
    expected = lambda task: task.published.mean_sequences or task.max_sequences
    steps = lambda row: expected(row.task) * row.task.max_length * row.task.trials
    statuses = run_workers(sorted(rows, key=steps, reverse=True), values)
    if not options.quiet:
        print(text_table([row.read(row.result) for row in rows if row.result.exists()]))
    failed = [name for name in names if statuses[name]]
    if failed:
        raise ValueError(f"{len(failed)} of {len(names)} rows failed: {', '.join(failed)}")


def run_workers(rows: Sequence[Row], values: FlagValues) -> dict[str, int]:
    """Run each row in a process, --workers at a time; return the exit status of each.

    When a signal ends this process, it ends the workers, and each leaves a checkpoint.
    """
    waiting, running, statuses = [row.name for row in rows], {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < values.workers:
                name = waiting.pop(0)
                running[name] = _Worker(name, values)
            for name, worker in list(running.items()):
                if worker.process.poll() is not None:
                    statuses[name] = running.pop(name).wait()
            time.sleep(0.05)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        if number == signal.SIGINT:
            _write(run.ENDING, sys.stderr)
        for worker in running.values():
            worker.process.terminate()
        for worker in running.values():
            worker.wait()
        message = "interrupted; --resume continues the remaining rows"
        raise Interrupted(message, number) from None
    return statuses


class _Worker:
    """A process that runs a row, and threads that copy its lines to the output of this process."""

    def __init__(self, row: str, values: FlagValues) -> None:
        self.process = _start(row, values)
        pipes = ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        self._threads = [
            threading.Thread(target=_copy, args=(row, *pipe), daemon=True) for pipe in pipes
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> int:
        """Wait for the process and its last line; return its exit status."""
        for thread in self._threads:
            thread.join()
        return self.process.wait()


def _start(row: str, values: FlagValues) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "experiments.reproduce", f"--rows={row}", "--devices=1"]
    for name in values:
        if values[name].present and name not in ("rows", "workers"):
            command.append(f"--{name}={values[name].value}")
    # In a process group of its own: Ctrl-C in the terminal reaches the parent alone, which ends the
    # workers once.
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {_IS_WORKER: "1"},
        start_new_session=True,
        text=True,
        errors="backslashreplace",
    )


def _copy(row: str, lines: Iterable[str], file: TextIO) -> None:
    """Copy the lines of a worker, each with its row in front."""
    for line in lines:
        line = line.removesuffix("\n").removeprefix(f"{row}: ")
        _write(f"{row}: {line}", file)


def _write(line: str, file: TextIO) -> None:
    """Write a whole line, not into one of another thread; a closed output costs no row."""
    with _WRITING, contextlib.suppress(OSError):
        file.write(f"{line}\n")
        file.flush()


def _end_with_parent() -> None:
    """End this worker when the pipe to it closes, so that no worker outlives a killed parent."""
    os.read(0, 1)  # not by sys.stdin, whose lock the interpreter needs to end
    os._exit(1)


COMMAND = Command("reproduce", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
