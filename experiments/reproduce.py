"""Reproduces rows of the paper's tables 1 to 9: all of the LSTM's, all its rivals', or a list.

    python -m experiments.reproduce --rows=all --out=DIR
    python -m experiments.reproduce --rows=rivals --workers=4 --out=DIR
    python -m experiments.reproduce --rows=6a,6b,2c-50-50 --out=DIR --resume

Rows run in worker processes, one a core; each writes its result file as it ends. A run may be
killed at any moment: --resume skips the rows that are done and goes on with the others from their
checkpoints. With --coordinator, rows run one after the other, each on the devices of all processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from absl.flags import FlagValues

from experiments.cli.command import Command
from experiments.cli.flag_set import FlagSet
from experiments.cli.interrupt import Interrupted
from experiments.rows import flags as row_flags
from experiments.rows import run as runner
from experiments.rows.collection import all_rows, read_result
from experiments.rows.text import text_table
from lstm_jax import baselines as baselines
from lstm_jax.tasks import make_task, row_names

MOST_WORKERS = 256
_IS_WORKER = "LSTM_JAX_REPRODUCE_WORKER"  # in the environment


def define(flags: FlagSet) -> None:
    """Which rows, in how many processes, and the flags of every binary that runs rows."""
    flags.text("rows", None, "'all', 'rivals', or rows with commas between.", required=True)
    flags.integer("workers", 2, "Rows run at the same time.", most=MOST_WORKERS)
    row_flags.define_flags(flags)


def main(values: FlagValues) -> None:
    """Runs the rows in worker processes, the longest first."""
    if _IS_WORKER in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    rows = _named(values.rows)
    if len(rows) == 1 or values.workers == 1 or values.coordinator is not None:
        row_flags.run_rows(rows, values)
        return
    options = row_flags.make_options(values)
    runner.prepare(options, rows)
    codes = run_workers(sorted(rows, key=expected_steps, reverse=True), values)
    paths = [options.path(row, ".json") for row in rows]
    if not options.quiet:
        print(text_table([read_result(path) for path in paths if path.exists()]))
    failed = [row for row in rows if codes[row]]
    if failed:
        raise ValueError(f"{len(failed)} of {len(rows)} rows failed: {', '.join(failed)}")


def _named(rows: str) -> list[str]:
    groups = {"all": list(row_names()), "rivals": list(baselines.row_names())}
    named = groups.get(rows) or rows.split(",")
    for row in named:
        if row not in all_rows():
            raise ValueError(
                f"--rows must be 'all', 'rivals', or of {', '.join(all_rows())}, got {row!r}"
            )
    return named


def expected_steps(row: str) -> float:
    """How many steps all trials of a row should take, by the paper's mean."""
    task = baselines.make_baseline_task(row) if row in baselines.row_names() else make_task(row)
    sequences = task.published.mean_sequences or task.max_sequences
    return sequences * task.max_length * task.trials


def run_workers(rows: Sequence[str], values: FlagValues) -> dict[str, int]:
    """Runs each row in a process of its own, some at a time; returns their exit statuses.

    When this process is told to end, so are they, and each leaves a checkpoint.
    """
    waiting, running, codes = list(rows), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < values.workers:
                row = waiting.pop(0)
                running[row] = _start(row, values)
            for row, worker in list(running.items()):
                if worker.poll() is not None:
                    codes[row] = running.pop(row).wait()
            time.sleep(0.05)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        _end_all(running)
        raise Interrupted(
            "interrupted; --resume goes on with the rows that remain", number
        ) from None
    return codes


def _end_all(workers: Mapping[str, subprocess.Popen]) -> None:
    for worker in workers.values():
        if worker.poll() is None:
            worker.terminate()
    for worker in workers.values():
        worker.wait()


def _start(row: str, values: FlagValues) -> subprocess.Popen:
    """Starts a row's worker, with this process's other flags."""
    given = [
        f"--{name}={values[name].value}"
        for name in values
        if values[name].present and name not in ("rows", "workers")
    ]
    command = [sys.executable, "-m", "experiments.reproduce", f"--rows={row}", "--devices=1"]
    environment = os.environ | {_IS_WORKER: "1"}
    # In a group of its own: Ctrl-C at the terminal reaches the parent alone, which ends them once.
    return subprocess.Popen(
        [*command, *given], stdin=subprocess.PIPE, env=environment, start_new_session=True
    )


def _end_with_parent() -> None:
    """Ends this worker when the pipe to it closes, so that none outlives a killed parent."""
    os.read(0, 1)  # not by sys.stdin, whose lock the interpreter needs to end
    os._exit(1)


COMMAND = Command("reproduce", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
