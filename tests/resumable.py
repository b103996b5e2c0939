"""A run of a command in a process that is killed and continues."""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

from small_tasks import LATCH, binary_environment

from experiments.rows.run import Row, RowOptions
from lstm_jax.training.recipes.recipe import make_recipe
from lstm_jax.training.runs.result_file import read_result
from lstm_jax.training.trials.training_loop import TrainingLoop

ROOT = pathlib.Path(__file__).parents[1]
RUN = ["--trials=2", "--max_sequences=20500", "--checkpoint_seconds=0", "--quiet"]
PATIENCE = 900.0  # seconds, on a machine that has much else to do


def start(
    out: pathlib.Path, *flags: str, environment: dict[str, str] | None = None
) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.temporal_order", f"--out={out}", *RUN, *flags]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = environment or binary_environment()
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)


def finish(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out, err


def numbers(out: pathlib.Path) -> dict:
    document = read_result(out / "6a.json")
    return {name: document[name] for name in ("trials", "summary", "max_sequences", "seed")}


def newest(out: pathlib.Path) -> int:
    """Return the sequences before the newest checkpoint, 0 if there is none."""
    folder = out / "6a.checkpoints"
    found = [path.name for path in folder.iterdir()] if folder.exists() else []
    return max((int(name) for name in found if name.isdigit()), default=0)


def kill_after_another_checkpoint(
    process: subprocess.Popen, out: pathlib.Path, delay: float
) -> int:
    """Kill a run a moment after it has gone further; return where its newest checkpoint is."""
    before, patience_ends = newest(out), time.monotonic() + PATIENCE
    while newest(out) <= before and process.poll() is None:
        assert time.monotonic() < patience_ends
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (out / "6a.json").exists()
    return newest(out)


def small_row(out: pathlib.Path, loop: TrainingLoop | None = None, **options) -> Row:
    """Return a row that takes a second, by the name of 6a."""
    loop = loop or TrainingLoop(LATCH)
    loop = dataclasses.replace(loop, task=dataclasses.replace(loop.task, name="6a"))
    return Row("6a", make_recipe("paper"), loop, RowOptions(out, **({"quiet": True} | options)))


def with_options(row: Row, **changes) -> Row:
    """Return the row with other options."""
    return dataclasses.replace(row, options=dataclasses.replace(row.options, **changes))
