"""Reproduces rows of the paper's tables 1 to 9: all of the LSTM's, all its rivals', or a list.

    python -m experiments.reproduce --rows=all --out=DIR
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

from absl import flags

from experiments import cli
from experiments.tables import text_table
from lstm_jax import rivals
from lstm_jax.tasks import make_task, row_names
from lstm_jax.training.results import read_json

_ROWS = flags.DEFINE_string(
    "rows", None, "'all', 'rivals', or rows with commas between.", required=True
)
_WORKERS = flags.DEFINE_integer("workers", 2, "Rows run at the same time.", lower_bound=1)

_IS_WORKER = "LSTM_JAX_REPRODUCE_WORKER"  # in the environment


def main() -> None:
    """Runs the rows in worker processes, the longest first."""
    if _IS_WORKER in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    rows = _named(_ROWS.value)
    if len(rows) == 1 or _WORKERS.value == 1 or flags.FLAGS.coordinator is not None:
        cli.run_rows(rows)
        return
    from experiments import runner

    options = cli.make_options()
    runner.prepare(options, rows)
    with concurrent.futures.ThreadPoolExecutor(_WORKERS.value) as pool:
        codes = list(pool.map(_run_one, sorted(rows, key=expected_steps, reverse=True)))
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


def _run_one(row: str) -> int:
    """Runs one row in a process of its own, with this process's other flags."""
    given = [
        flags.FLAGS[name].serialize()
        for name in flags.FLAGS
        if flags.FLAGS[name].present and name not in ("rows", "workers")
    ]
    command = [sys.executable, "-m", "experiments.reproduce", f"--rows={row}", "--devices=1"]
    environment = os.environ | {_IS_WORKER: "1"}
    with subprocess.Popen([*command, *given], stdin=subprocess.PIPE, env=environment) as worker:
        return worker.wait()


def _end_with_parent() -> None:
    """Ends this worker when the pipe to it closes, so that none outlives a killed parent."""
    os.read(0, 1)  # not by sys.stdin, whose lock the interpreter needs to end
    os._exit(1)


if __name__ == "__main__":
    cli.define_flags()
    cli.run(main)
