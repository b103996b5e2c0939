"""Result files: one JSON document a row, the same for every experiment."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import re
from collections.abc import Sequence

import jax
import numpy as np

from lstm_jax.network.files import Document, write_atomically
from lstm_jax.tasks.task import Task
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.update_rules.per_sequence import Model

SCHEMA_VERSION = 1
CURVE_POINTS = 100
_INNERMOST_LIST = re.compile(r"\[[-+.,\s\w]*\]")  # of numbers and null


def make_document(
    task: Task,
    results: Sequence[TrialResult],
    *,
    recipe: str,
    changes: str,
    wall_seconds: float,
    seed: int,
    command: str,
) -> Document:
    """Everything there is to know of a row's run, as plain data for JSON.

    Args:
      task: what was learned.
      results: of its trials.
      recipe: what the run is labelled with.
      changes: what differs from the paper's conditions, in words; "" if nothing does.
      wall_seconds: that it took.
      seed: of all random numbers.
      command: by which it can be made again.
    """
    sequences = sum(result.sequences for result in results)
    return {
        "schema_version": SCHEMA_VERSION,
        "task": task.name,
        "title": task.title,
        "recipe": recipe,
        "recipe_changes": changes,
        "architecture": dataclasses.asdict(task.architecture),
        "weights": task.architecture.num_weights,
        "learning_rate": task.hyperparameters.learning_rate,
        "conditions": dataclasses.asdict(task.hyperparameters),
        "rule": dataclasses.asdict(task.rule),
        "max_sequences": task.max_sequences,
        "trials": [_trial(result) for result in results],
        "published": dataclasses.asdict(task.published) | {"trials": task.trials},
        "summary": summarise(results),
        "network": _network(results),
        "wall_seconds": round(wall_seconds, 2),
        "sequences_per_second": round(sequences / wall_seconds, 1),
    } | about_run(seed, command)


def about_run(seed: int, command: str) -> Document:
    """What a figure must have beside it so that anyone can make it again."""
    return {
        "seed": seed,
        "versions": versions(),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def summarise(results: Sequence[TrialResult]) -> Document:
    """What goes into a table; means are over the solved trials, None where there are none."""
    solved = [result for result in results if result.solved]

    def mean(values: list[float]) -> float | None:
        return float(np.mean(values)) if values else None

    return {
        "trials": len(results),
        "solved": len(solved),
        "success_rate": 100.0 * len(solved) / len(results),
        "mean_sequences": mean([r.sequences for r in solved]),
        "median_sequences": float(np.median([r.sequences for r in solved])) if solved else None,
        "first_mean_sequences": mean(
            [r.first_rule_sequences for r in results if r.first_rule_sequences]
        ),
        "test_size": results[0].test_size,
        "mean_test_wrong": mean([r.test_wrong for r in solved]),
        "max_test_wrong": max((r.test_wrong for r in solved), default=None),
        "mean_test_error": mean([r.test_error for r in solved]),
        "mean_test_squared_error": mean([r.test_squared_error for r in solved]),
        "non_finite": sum(not result.finite for result in results),
    }


def _trial(result: TrialResult) -> Document:
    return {
        "index": result.index,
        "solved": result.solved,
        "sequences": result.sequences,
        "first_rule_sequences": result.first_rule_sequences,
        "test_wrong": result.test_wrong,
        "test_size": result.test_size,
        "test_error": plain_number(result.test_error),
        "test_squared_error": plain_number(result.test_squared_error),
        "finite": result.finite,
        "curve": [[plain_number(v) for v in point] for point in thin(result.curve)],
    }


def _network(results: Sequence[TrialResult]) -> Document | None:
    """The weights of the first solved LSTM, by their places in `Parameters`."""
    for result in results:
        if result.solved and isinstance(result.model, Model):
            leaves = jax.tree_util.tree_leaves_with_path(result.model.parameters)
            weights = {jax.tree_util.keystr(path): _weights(leaf) for path, leaf in leaves}
            return {"trial": result.index, "parameters": weights}
    return None


def _weights(array: np.ndarray) -> list:
    """Nested lists of the shortest decimals that stand for the array's own floats."""
    return np.vectorize(lambda w: float(str(w)), otypes=[float])(array).tolist()


def thin(curve: np.ndarray, points: int = CURVE_POINTS) -> np.ndarray:
    """At most `points` points of a curve: each the mean of a stretch, at the stretch's end.

    >>> thin(np.array([[1.0, 0.4], [2.0, 0.2], [3.0, 0.0]]), points=2)
    array([[2. , 0.3],
           [3. , 0. ]])
    """
    if len(curve) <= points:
        return curve
    stretches = np.array_split(curve, points)
    return np.array([[part[-1, 0], *part[:, 1:].mean(0)] for part in stretches])


def plain_number(value: float) -> float | int | None:
    """Six significant digits; JSON has no NaN and no infinity."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")


def versions() -> dict[str, str]:
    """The versions that decide a trial's numbers."""
    packages = ("jax", "jaxlib", "optax", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    prng = str(jax.config.values["jax_default_prng_impl"])
    return {"python": platform.python_version(), **found, "prng": prng}


def machine() -> Document:
    """What a run was timed on."""
    device = jax.devices()[0]
    cpu = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


def write_json(path: pathlib.Path, document: Document) -> None:
    """Writes a document whole or not at all; innermost lists take one line each."""
    text = json.dumps(document, indent=1, allow_nan=False)
    text = _INNERMOST_LIST.sub(lambda found: " ".join(found[0].split()), text)
    write_atomically(path, (text + "\n").encode())


def read_json(path: pathlib.Path) -> Document:
    """Reads a result file.

    Raises:
      ValueError: if it is no result file of a known version.
    """
    try:
        document = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found != SCHEMA_VERSION:
        raise ValueError(f"{path} must have schema_version {SCHEMA_VERSION}, got {found!r}")
    return document
