"""Rows of the paper's tables, run in parallel: those of the LSTM, of the baselines, or a list.

    python -m experiments.reproduce --rows=all --out=DIR
    python -m experiments.reproduce --rows=baselines --workers=4 --out=DIR
    python -m experiments.reproduce --rows=6a,6b,2c-50-50 --out=DIR --resume

Rows run in worker processes, one per core; each writes its result file at its end. A run may be
killed at any moment: --resume skips the rows that have a result and continues the others from their
checkpoints. With --coordinator, rows run one after the other, each on the devices of all processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from experiments.cli.command import Command, FlagSet, FlagValues
from experiments.rows import run
from experiments.rows.run import Row, resolve
from experiments.rows.text import text_table
from lstm_jax import baselines, row_names
from lstm_jax.training.host.interrupts import Interrupted

MAX_WORKERS = 256
_IS_WORKER = "LSTM_JAX_REPRODUCE_WORKER"  # in the environment


def define(flags: FlagSet) -> None:
    """Define the rows, the number of processes, and the flags of all commands that run rows."""
    flags.text(
        "rows", None, "'all', 'baselines', or rows separated by commas (required).", required=True
    )
    flags.integer("workers", 2, "Rows that run at the same time.", most=MAX_WORKERS)
    run.define_flags(flags)


def main(values: FlagValues) -> None:
    """Run the rows in worker processes, the longest first."""
    if _IS_WORKER in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    groups = {"all": row_names(), "baselines": baselines.row_names()}
    names = groups.get(values.rows) or values.rows.split(",")
    if len(names) == 1 or values.workers == 1 or values.coordinator is not None:
        run.run_rows(names, values)
        return
    options = run.options_of(values)
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
                running[name] = _start(name, values)
            for name, worker in list(running.items()):
                if worker.poll() is not None:
                    statuses[name] = running.pop(name).wait()
            time.sleep(0.05)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        if number == signal.SIGINT:
            print(run.ENDING, file=sys.stderr, flush=True)
        for worker in running.values():
            worker.terminate()
        for worker in running.values():
            worker.wait()
        message = "interrupted; --resume continues the remaining rows"
        raise Interrupted(message, number) from None
    return statuses


def _start(row: str, values: FlagValues) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "experiments.reproduce", f"--rows={row}", "--devices=1"]
    for name in values:
        if values[name].present and name not in ("rows", "workers"):
            command.append(f"--{name}={values[name].value}")
    # In a process group of its own: Ctrl-C in the terminal reaches the parent alone, which ends the
    # workers once.
    environment = os.environ | {_IS_WORKER: "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)


def _end_with_parent() -> None:
    """End this worker when the pipe to it closes, so that no worker outlives a killed parent."""
    os.read(0, 1)  # not by sys.stdin, whose lock the interpreter needs to end
    os._exit(1)


COMMAND = Command("reproduce", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
