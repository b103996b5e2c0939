"""The setup cell of the notebooks copes with what it finds, or says one sentence and stops.

It runs in processes of its own, with stand-ins for what a machine has or lacks.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from experiments import notebooks

ROOT = notebooks.FOLDER.parents[1]
CELL = (notebooks.FOLDER / "_setup.py").read_text()
OTHERS = ("matplotlib", "safetensors", "tqdm")
# Notes its arguments, and installs the library's stand-in.
PIP = """
import pathlib, sys
folder = pathlib.Path(__file__).parent
(folder / "called").write_text(sys.argv[-1])
for name in ("matplotlib", "safetensors", "tqdm"):
    (folder / f"{name}.py").touch()
(folder / "lstm_jax").mkdir()
(folder / "lstm_jax" / "__init__.py").write_text("def configure_cpu(): print('configured')")
"""


def run(code: str, cwd: pathlib.Path, *paths: pathlib.Path, options: tuple[str, ...] = ()):
    """Run code in a new Python process that finds the modules of `paths` first."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder of modules with a `pip` alone, which replaces that of the machine."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "pip.py").write_text(PIP)
    return folder


def run_bare(code: str, cwd: pathlib.Path, bare: pathlib.Path):
    """Run code on a machine that has Python and the modules of a folder."""
    return run(code, cwd, bare, options=("-S",))


def test_it_configures_a_fresh_process_in_silence(tmp_path: pathlib.Path):
    code = f"{CELL}\nimport os; assert 'while_loop' in os.environ['XLA_FLAGS']"
    done = run(code, tmp_path, ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_jax_may_be_imported_before(tmp_path: pathlib.Path):
    done = run(f"import jax\n{CELL}", tmp_path, ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_if_jax_has_computed_it_goes_on_and_says_so(tmp_path: pathlib.Path):
    done = run(f"import jax; jax.numpy.ones(1) + 1\n{CELL}\nlstm.Architecture", tmp_path, ROOT)
    assert done.returncode == 0, done.stderr
    assert "half the speed" in done.stdout and "restart the runtime" in done.stdout


def test_an_older_jax_in_memory_asks_for_a_restart(tmp_path: pathlib.Path):
    older = "import sys, types; sys.modules['jax'] = jax = types.ModuleType('jax')\n"
    older += "jax.__version__, jax.__version_info__ = '0.7.2', (0, 7, 2)\n"
    done = run(older + CELL, tmp_path, ROOT)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "0.7.2 is loaded" in done.stderr and "Restart the runtime" in done.stderr


def test_without_a_place_on_github_it_says_so_and_installs_nothing(tmp_path, bare: pathlib.Path):
    done = run_bare(CELL, tmp_path, bare)
    message = "lstm_jax is not on GitHub yet: open this notebook in a clone.\n"
    assert (done.returncode, done.stderr) == (1, message)
    assert not (bare / "called").exists()


def test_with_one_it_installs_from_there_with_every_extra(tmp_path, bare: pathlib.Path):
    done = run_bare(CELL.replace('"OWNER"', '"somebody"'), tmp_path, bare)
    assert (done.returncode, done.stdout) == (0, "configured\n"), done.stderr
    package = "lstm_jax[files,plots,progress] @ git+https://github.com/somebody/lstm_jax"
    assert (bare / "called").read_text() == package


@pytest.mark.parametrize("folder", [".", "experiments/colab"])
def test_in_a_clone_it_installs_the_clone(folder: str, tmp_path, bare: pathlib.Path):
    clone = tmp_path / "clone"
    for path in (clone / "lstm_jax", clone / "experiments" / "colab"):
        path.mkdir(parents=True)
    (clone / "lstm_jax" / "__init__.py").touch()
    code = f"import sys; sys.path.remove('')\n{CELL}"
    done = run_bare(code, clone / folder, bare)
    assert (done.returncode, done.stdout) == (0, "configured\n"), done.stderr
    assert (bare / "called").read_text().endswith(f" @ {clone.as_uri()}")


def test_a_clone_beside_the_notebook_is_not_taken_for_the_library(tmp_path, bare: pathlib.Path):
    """After `git clone` in the working folder, `lstm_jax` there is a folder without code."""
    (tmp_path / "lstm_jax").mkdir()
    done = run_bare(CELL, tmp_path, bare)
    assert done.returncode == 1 and "not on GitHub yet" in done.stderr


@pytest.mark.parametrize("missing", OTHERS)
def test_a_missing_extra_is_installed(missing: str, tmp_path, bare: pathlib.Path):
    for name in ("lstm_jax", *OTHERS):
        if name != missing:
            (bare / f"{name}.py").touch()
    done = run_bare(CELL, tmp_path, bare)
    assert done.returncode == 1 and "not on GitHub yet" in done.stderr
