"""Reproduces rows of the paper's tables 1 to 9: all of the LSTM's, all its rivals', or a list.

    python -m experiments.reproduce --rows=all --out=DIR
    python -m experiments.reproduce --rows=rivals --workers=4 --out=DIR
    python -m experiments.reproduce --rows=6a,6b,2c-50-50 --out=DIR --resume

Rows run in worker processes, one a core; each writes its result file as it ends. A run may be
killed at any moment: --resume skips the rows that are done and goes on with the others from their
checkpoints. With --coordinator, rows run one after the other, each on the devices of all processes.
"""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading

from absl.flags import FlagValues

from experiments.common import rows as row_flags
from experiments.common import runner
from experiments.common.command import Command
from experiments.common.flag_set import FlagSet
from experiments.common.text import text_table
from lstm_jax import rivals
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.results import read_json

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
    with concurrent.futures.ThreadPoolExecutor(values.workers) as pool:
        longest_first = sorted(rows, key=expected_steps, reverse=True)
        codes = list(pool.map(lambda row: _run_one(row, values), longest_first))
    paths = [options.path(row, ".json") for row in rows]
    if not options.quiet:
        print(text_table([read_json(path) for path in paths if path.exists()]))
    if any(codes):
        raise ValueError(f"{sum(code != 0 for code in codes)} of {len(rows)} rows failed")


def _named(rows: str) -> list[str]:
    groups = {"all": row_names(), "rivals": rivals.row_names()}
    return list(groups.get(rows, rows.split(",")))


def expected_steps(row: str) -> float:
    """How many steps all trials of a row should take, by the paper's mean."""
    task = rivals.make_rival_task(row) if row in rivals.row_names() else make_task(row)
    sequences = task.published.mean_sequences or task.max_sequences
    return sequences * task.max_length * task.trials


def _run_one(row: str, values: FlagValues) -> int:
    """Runs one row in a process of its own, with this process's other flags."""
    given = [
        values[name].serialize()
        for name in values
        if values[name].present and name not in ("rows", "workers")
    ]
    command = [sys.executable, "-m", "experiments.reproduce", f"--rows={row}", "--devices=1"]
    environment = os.environ | {_IS_WORKER: "1"}
    with subprocess.Popen([*command, *given], stdin=subprocess.PIPE, env=environment) as worker:
        return worker.wait()


def _end_with_parent() -> None:
    """Ends this worker when the pipe to it closes, so that none outlives a killed parent."""
    os.read(0, 1)  # not by sys.stdin, whose lock the interpreter needs to end
    os._exit(1)


COMMAND = Command("reproduce", __doc__, define, main)

if __name__ == "__main__":
    COMMAND.run()
