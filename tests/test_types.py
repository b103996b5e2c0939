"""A user's program, which the type checker reads with the library, does what its types say."""

from __future__ import annotations

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


def test_the_type_checker_reads_it():
    """...with the command of the README, which reads what is listed there."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]["include"]
    assert f"tests/{Path(user_program.__file__).name}" in listed
    assert (ROOT / "lstm_jax" / "py.typed").exists()
