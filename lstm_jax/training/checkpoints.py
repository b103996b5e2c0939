"""Checkpoints of a run: written at intervals, whole or not at all, the last two kept."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.training.processes import by_first, is_first
from lstm_jax.training.trials import RunState, TrialRunner

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

KEEP = 2
# Of the leaves of `RunState` and their order, which a checkpoint relies on: to be raised with them,
# so that one of another order is refused and not misread.
FORMAT = 3


class Restored(NamedTuple):
    """What a run goes on from."""

    seconds: float  # that the run had taken; 0.0 if it starts afresh
    damaged: list[str]  # a sentence for every damaged checkpoint that was passed over


class Checkpoints:
    """The checkpoints of one run, in a folder that is locked while this context is entered.

    Orbax writes each into a temporary folder that gets its name when it is complete, so a run
    killed at any moment leaves whole checkpoints only. What a damaged disk does to one is found
    when it is read, by a digest of its content; then the one before it serves.

    Of several processes, the first alone sees the folder; all make the same calls.
    """

    def __init__(self, folder: pathlib.Path, run: Mapping[str, Any]) -> None:
        """Opens `folder`, which need not exist; needs the extra `experiments`.

        Args:
          folder: where the checkpoints are, and nothing else.
          run: all that decides the numbers of the run, as plain data for JSON.

        Raises:
          ValueError: if another process has the folder open.
        """
        self._folder = folder.absolute()
        self._run = json.loads(json.dumps(run)) | {"format": FORMAT}
        by_first(self._open)

    def _open(self) -> None:
        import orbax.checkpoint as ocp  # slow to import, and needed here alone

        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._folder)
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEEP,
                create=False,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
            ),
        )

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *exception: object) -> None:
        if is_first():
            self._manager.close()
            os.close(self._lock)

    def save(self, runner: TrialRunner, seconds: float = 0.0) -> None:
        """Writes where the run stands, after so many seconds."""
        state = _pack(runner.state())
        by_first(lambda: self._write(runner.presented, state, seconds))

    def _write(self, presented: int, state: np.ndarray, seconds: float) -> None:
        for step in self._manager.all_steps():
            if step >= presented:  # damaged, or the run would not have to come here again
                self._manager.delete(step)
        about = {"run": self._run, "seconds": seconds}
        about |= {"digest": _digest(about, state)}
        # All arrays in one: orbax would report damage to several many times over.
        content = self._args.StandardSave({"state": state})
        self._manager.save(
            presented,
            args=self._args.Composite(state=content, about=self._args.JsonSave(about)),
            force=True,
        )

    def restore(self, runner: TrialRunner) -> Restored:
        """Lets the run go on from the newest checkpoint that can be read, if there is one.

        Raises:
          ValueError: if that checkpoint is of another run.
        """
        restored, state = by_first(self._newest)
        if state is not None:
            runner.restore(_unpack(state, runner.state()))
        return restored

    def _newest(self) -> tuple[Restored, np.ndarray | None]:
        damaged = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            path = self._folder / str(step)
            try:
                about, state = self._read(step)
            except Exception as error:  # whatever a damaged file makes the reader raise
                reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                damaged.append(f"checkpoint {path} is damaged: {reason}")
                continue
            if about["run"] != self._run:
                raise ValueError(f"checkpoint {path} is of the run {about['run']}, not {self._run}")
            return Restored(about["seconds"], damaged), state
        return Restored(0.0, damaged), None

    def remove(self) -> None:
        """Deletes all of them: the run has its results."""
        by_first(lambda: shutil.rmtree(self._folder, ignore_errors=True))

    def _read(self, step: int) -> tuple[dict[str, Any], np.ndarray]:
        items = self._args.Composite(
            state=self._args.StandardRestore(), about=self._args.JsonRestore()
        )
        content = self._manager.restore(step, args=items)
        state, about = np.asarray(content["state"]["state"]), dict(content["about"])
        if about.pop("digest") != _digest(about, state):
            raise ValueError("its digest is another than that of its content")
        return about, state


def _pack(state: RunState) -> np.ndarray:
    """The leaves of `state`, one after the other as NumPy files, as bytes."""
    file = io.BytesIO()
    for leaf in jax.tree.leaves(state):
        np.save(file, leaf, allow_pickle=False)
    return np.frombuffer(file.getvalue(), np.uint8)


def _unpack(packed: np.ndarray, like: RunState) -> RunState:
    """What was packed, in the structure of `like`."""
    file = io.BytesIO(packed.tobytes())
    leaves, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, [np.load(file, allow_pickle=False) for _ in leaves])


def _digest(about: dict[str, Any], state: np.ndarray) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode() + state.tobytes()).hexdigest()


def _lock(folder: pathlib.Path) -> int:
    """Locks `folder` until the returned descriptor is closed, or this process ends."""
    if fcntl is None:
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(f"{folder} is in use by another process") from None
    return descriptor
