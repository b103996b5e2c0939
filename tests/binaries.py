"""Commands as tests run them, and what tests of commands and pictures share."""

from __future__ import annotations

import importlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from matplotlib import image

from experiments.__main__ import commands
from experiments.cli.command import Command
from lstm_jax.training.runs.result_file import complete, make_document
from lstm_jax.training.trials.runner import TrialResult

ROOT = pathlib.Path(__file__).parents[1]
BINARIES = list(commands())

# Runs commands one after the other, each in a fork of a process that has imported JAX, which is
# what takes the time: [module, flags] each to [exit status, stdout, stderr].
FORKS = """
import json, os, runpy, sys, tempfile
import experiments.rows.run
results = []
for name, *flags in json.loads(sys.argv[1]):
    files = [tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")]
    child = os.fork()
    if not child:
        for descriptor, file in zip((1, 2), files):
            os.dup2(file.fileno(), descriptor)
        sys.argv = [name, *flags]
        runpy.run_module("experiments." + name, run_name="__main__", alter_sys=True)
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = [(file.seek(0), file.read())[1] for file in files]
    results.append([status, *texts])
print(json.dumps(results))
"""


def run_forks(
    runs: Sequence[Sequence[str]], environment: dict[str, str] | None = None
) -> list[tuple[int, str, str]]:
    """Run commands, each its name and its flags; return statuses and what they printed."""
    command = [sys.executable, "-c", FORKS, json.dumps([list(run) for run in runs])]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return [tuple(outcome) for outcome in json.loads(done.stdout)]


def command_of(binary: str) -> Command:
    """Return the command of a module of `experiments`."""
    package = ROOT / "experiments" / binary.replace(".", "/")
    module = f"experiments.{binary}" + (".__main__" if package.is_dir() else "")
    return importlib.import_module(module).COMMAND


def assert_is_a_picture(path: pathlib.Path) -> None:
    """Assert that a PNG opens, and that between 1 and 50 percent of it is not white."""
    pixels = image.imread(path)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 500
    assert 0.01 < (pixels[..., :3] < 0.9).any(-1).mean() < 0.5


def document_of(task, results: Sequence[TrialResult], **about) -> dict:
    """Return a row's result document, by the paper's hyperparameters."""
    label = {"recipe": "paper", "changes": "", "seed": 0, "command": "python -m x"}
    return complete(make_document(task, results, **(label | {"wall_seconds": 1.0} | about)))
