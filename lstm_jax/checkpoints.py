"""Checkpoints of a run: written at intervals, whole or not at all, the last two kept."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import jax
import numpy as np

from lstm_jax.trials import RunState, TrialRunner

KEEP = 2


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    Orbax writes each into a temporary folder that gets its name when it is complete, so a run
    killed at any moment leaves whole checkpoints only. What a damaged disk does to one is found
    when it is read; then the one before it serves.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Opens `folder`, which need not exist; needs the extra `experiments`."""
        import orbax.checkpoint as ocp  # slow to import, and needed here alone

        self._folder = folder.absolute()
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEEP, create=True, enable_async_checkpointing=False
            ),
        )
        self._save_args, self._restore_args = ocp.args.StandardSave, ocp.args.StandardRestore

    def save(self, runner: TrialRunner) -> None:
        """Writes where the run stands."""
        leaves = jax.tree.leaves(runner.state())
        content = {f"{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        self._manager.save(runner.presented, args=self._save_args(content), force=True)

    def restore(self, runner: TrialRunner) -> list[str]:
        """Lets the run go on from the newest checkpoint that can be read, if there is one.

        Returns:
          A sentence for every damaged checkpoint that was passed over.
        """
        damaged = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                runner.restore(self._read(step, runner))
            except Exception as error:  # whatever a damaged file makes the reader raise
                reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                damaged.append(f"checkpoint {self._folder / str(step)} is damaged: {reason}")
            else:
                break
        return damaged

    def remove(self) -> None:
        """Deletes all of them: the run has ended."""
        self._manager.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, step: int, runner: TrialRunner) -> RunState:
        content: dict[str, Any] = self._manager.restore(step, args=self._restore_args())
        structure = jax.tree.structure(runner.state())
        leaves = [np.asarray(content[name]) for name in sorted(content)]
        state: RunState = jax.tree.unflatten(structure, leaves)
        if int(state.presented) != step:
            raise ValueError(f"it says {int(state.presented)} sequences, its name {step}")
        return state
