"""Settings of JAX, given in the environment, do not change the numbers of a command."""

from __future__ import annotations

import pathlib

import pytest
from binaries import run_forks
from small_tasks import binary_environment

from lstm_jax.training.runs.result_file import read_result

FLAGS = ("--trials=3", "--max_sequences=120", "--quiet")
RECIPES = ("paper", "adam")
SETTINGS = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_RANDOM_SEED_OFFSET": "3",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUM_CPU_DEVICES": "3",
    "JAX_DEBUG_NANS": "1",
    "JAX_CHECK_TRACER_LEAKS": "1",
}


def numbers(out: pathlib.Path, **settings: str) -> list[dict]:
    """Return the trials of 6a by each recipe, run under settings of JAX."""
    runs = [["temporal_order", f"--recipe={name}", f"--out={out}", *FLAGS] for name in RECIPES]
    for status, _, err in run_forks(runs, binary_environment() | settings):
        assert (status, err) == (0, "")
    found = [read_result(out / name) for name in ("6a.json", "6a.adam.json")]
    return [{name: document[name] for name in ("trials", "summary")} for document in found]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return numbers(tmp_path_factory.mktemp("default"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_in_the_environment_does_not_change_the_numbers(
    setting: str, expected: list[dict], tmp_path: pathlib.Path
):
    assert numbers(tmp_path, **{setting: SETTINGS[setting]}) == expected


def test_a_cache_of_compiled_programs_does_not_change_the_numbers(
    expected: list[dict], tmp_path: pathlib.Path
):
    """...neither while it is filled nor once it is."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    for out in ("first", "second"):
        assert numbers(tmp_path / out, **cache) == expected
    assert any((tmp_path / "cache").iterdir())
