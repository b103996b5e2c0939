"""A user's program, which the type checker reads with the library, does what its types say."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import user_program

from lstm_jax.cell.parameters import check_parameters

ROOT = Path(__file__).parent.parent


def test_a_user_s_program_runs():
    assert 0 < user_program.network() < 1
    learner = user_program.stream()
    check_parameters(user_program.NET, learner.parameters)
    assert not any(leaf.any() for leaf in jax.tree.leaves(learner.gradient))
    assert user_program.trials() == []
    assert user_program.own_data().stopped == "epochs"
    assert user_program.stack().shape == (4, 1)


def test_the_type_checker_reads_it():
    """...with the command of the README, which reads what is listed there."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]["include"]
    assert f"tests/{Path(user_program.__file__).name}" in listed
    assert (ROOT / "lstm_jax" / "py.typed").exists()


def test_the_type_checker_finds_the_installed_library(tmp_path: Path):
    """...in a folder of the user's, after the README's installation: a wrong type is an error."""
    program = tmp_path / "program.py"
    program.write_text(
        "import lstm_jax as lstm\n"
        "net = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)\n"
        "right: int = net.num_weights\n"
        "wrong: str = net.num_weights\n"
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(program)]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 error" in checked.stdout and "program.py:4:" in checked.stdout, checked.stdout
