"""The loop of a run: train a chunk, report it, write a checkpoint, stop on a signal."""

from __future__ import annotations

import time
from collections.abc import Callable

from lstm_jax.training.host.interrupts import Interrupts
from lstm_jax.training.host.processes import on_first_process
from lstm_jax.training.runs.checkpoints import Checkpoints
from lstm_jax.training.trials.records import Progress
from lstm_jax.training.trials.runner import TrialRunner


def run_trials(
    runner: TrialRunner,
    checkpoints: Checkpoints,
    *,
    started: float,
    checkpoint_seconds: float = 60.0,
    interrupts: Interrupts | None = None,
    on_chunk: Callable[[Progress], bool | None] = lambda progress: None,
) -> bool:
    """Run all trials to their end, with checkpoints.

    Args:
      runner: the trials, before their first chunk or as restored.
      checkpoints: the checkpoints of the run.
      started: the time at which the run started (`time.monotonic`), minus what it took before.
      checkpoint_seconds: the least time between two checkpoints.
      interrupts: deferred signals; a signal ends the run after a checkpoint.
      on_chunk: called after every chunk; returns True to stop the trials there.

    Returns:
      Whether all trials have ended; False if `on_chunk` stopped them.

    Raises:
      KeyboardInterrupt: if there was a signal, after a checkpoint.
    """
    saved_at = time.monotonic()
    while not runner.finished:
        if on_chunk(runner.run_chunk()):
            return runner.finished
        elapsed = on_first_process(lambda since=saved_at: time.monotonic() - since)
        is_interrupted = interrupts is not None and interrupts.requested() and not runner.finished
        if is_interrupted or elapsed >= checkpoint_seconds:
            checkpoints.save(runner, time.monotonic() - started)
            saved_at = time.monotonic()
        if is_interrupted:
            raise KeyboardInterrupt
    return True
