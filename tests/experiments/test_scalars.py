"""The scalars of a run, read back from TensorBoard's file: each point is there once."""

from __future__ import annotations

import pathlib
import struct
import sys

import numpy as np
import pytest
from resumable import small_row
from small_tasks import LATCH, make_runner, sgd

from experiments.rows import run as runner
from lstm_jax.training.runs.checkpoints import Checkpoints

CURVES = [f"training_error_of_trial/{i}" for i in range(3)]


def read(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """All points of the one file in a folder, by their tags: a record has a head of 12 bytes."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    content, offset, found = path.read_bytes(), 0, {}
    while offset < len(content):
        (size,) = struct.unpack_from("<Q", content, offset)
        event = Event.FromString(content[offset + 12 : offset + 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        offset += 16 + size
    return found


@pytest.fixture(autouse=True)
def shared_programs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "TrialRunner", make_runner)


def run(folder: pathlib.Path, **changes) -> dict:
    fields = {"logdir": folder / "log", "checkpoint_seconds": 0.0} | changes
    row = small_row(folder, sgd(LATCH, chunk=20), **fields)
    runner.prepare([row])
    return runner.run_row(row)


def test_a_run_s_scalars_are_its_curves_and_are_there_once_if_it_is_cut_off(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """...between the moment a point is written and the checkpoint of its chunk."""
    document = run(tmp_path / "whole")
    whole = read(tmp_path / "whole" / "log" / "6a")
    assert whole.keys() == {"solved_trials", "training_error/median", *CURVES}
    for trial, tag in zip(document["trials"], CURVES, strict=True):
        np.testing.assert_allclose([e for _, e in whole[tag]], np.array(trial["curve"])[:, 1], 5e-4)
    chunks = np.arange(1, len(whole["solved_trials"]) + 1)
    assert [step for step, _ in whole["solved_trials"]] == list(20 * chunks)
    ends = [trial["sequences"] for trial in document["trials"] if trial["solved"]]
    expected = [sum(end <= step for end in ends) for step, _ in whole["solved_trials"]]
    assert [solved for _, solved in whole["solved_trials"]] == expected and expected[-1] > 0

    save, saved = Checkpoints.save, []

    def fail_at_the_third(self: Checkpoints, *arguments) -> None:
        saved.append(None)
        if len(saved) == 3:
            raise OSError("no space left on device")
        save(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", fail_at_the_third)
        with pytest.raises(OSError, match="no space left"):
            run(tmp_path / "cut")
    assert len(read(tmp_path / "cut" / "log" / "6a")["solved_trials"]) == 3
    with pytest.raises(ValueError, match="--resume continues"):
        run(tmp_path / "cut")
    run(tmp_path / "cut", resume=True)
    assert read(tmp_path / "cut" / "log" / "6a") == whole


def test_without_the_writer_a_line_says_what_to_install(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        ImportError, match=r"--logdir needs tensorboardX: pip install 'lstm_jax\[te"
    ):
        run(tmp_path / "new")
    assert not [*tmp_path.iterdir()]
