"""Result files: the trials of a task as one JSON document."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import itertools
import json
import math
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from lstm_jax.cell.validation import displayed
from lstm_jax.network.files import Document
from lstm_jax.network.writing import write_atomically
from lstm_jax.tasks.task import Published, Task
from lstm_jax.training.trials.runner import TrialResult
from lstm_jax.training.update_rules.per_sequence import Model

SCHEMA_VERSION = 2
CURVE_POINTS = 100
LARGEST = 1e15  # of any number in a result file


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= LARGEST and math.isfinite(value)


FieldType = tuple[str, Callable[[object], bool]]  # its name, and whether a value has it
TEXT: FieldType = ("text", lambda value: isinstance(value, str))
YES_NO: FieldType = ("true or false", lambda value: isinstance(value, bool))
NUMBER: FieldType = ("a number", _is_number)
COUNT: FieldType = (
    "a whole number from 0",
    lambda value: isinstance(value, int) and _is_number(value) and value >= 0,
)
MAYBE: FieldType = ("a number or null", lambda value: value is None or _is_number(value))
LIST: FieldType = ("a list", lambda value: isinstance(value, list))
OBJECT: FieldType = ("an object", lambda value: isinstance(value, dict))

ROW = {
    **dict.fromkeys(("task", "recipe", "changes", "date", "command", "title"), TEXT),
    **dict.fromkeys(("published", "hyperparameters", "rule", "versions", "machine"), OBJECT),
    **dict.fromkeys(("max_sequences", "test_size", "seed"), COUNT),
    "wall_seconds": NUMBER,
    "trials": LIST,
}
TRIAL = {  # fields of `TrialResult`; a trial has its curve as well
    **dict.fromkeys(("index", "sequences", "test_wrong"), COUNT),
    **dict.fromkeys(("solved", "finite"), YES_NO),
    **dict.fromkeys(("first_rule_sequences", "test_error", "test_squared_error"), MAYBE),
}
CURVE: dict[str, FieldType] = dict.fromkeys(("sequences", "error", "wrong"), LIST)
NOT_PUBLISHED = dataclasses.asdict(Published())
PUBLISHED = dict.fromkeys(NOT_PUBLISHED, MAYBE) | {"table": TEXT}


def check_fields(
    found: object, types: Mapping[str, FieldType], name: object, place: str = ""
) -> None:
    """Raise ValueError if an object lacks a field or has one of another type.

    Messages name the file, `name`, and the object's place in it, such as "trials[0].".
    """
    if not isinstance(found, Mapping):
        got = displayed(found)
        raise ValueError(f"{name} must have an object at {place.rstrip('.')}, got {got}")
    for field, (type_name, fits) in types.items():
        if field not in found:
            raise ValueError(f"{name} must have {place}{field}, {type_name}; it has none")
        if not fits(found[field]):
            got = displayed(found[field])
            raise ValueError(f"{name} must have {place}{field}, {type_name}, got {got}")


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
    """Return the content of a result file, as plain data for JSON.

    Args:
      task: the task that was learned.
      results: the results of its trials.
      recipe, changes: the name of the recipe, and its changes in words.
      wall_seconds: the time that the run took, in seconds.
      seed: the seed of all random numbers.
      command: the command that repeats the run.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "task": task.name,
        "title": task.title,
        "published": dataclasses.asdict(task.published),
        "recipe": recipe,
        "changes": changes,
        "architecture": dataclasses.asdict(task.architecture),
        "hyperparameters": dataclasses.asdict(task.hyperparameters),
        "rule": dataclasses.asdict(task.rule),
        "max_sequences": task.max_sequences,
        "test_size": results[0].test_size,
        "trials": [
            {name: plain_number(getattr(result, name)) for name in TRIAL}
            | {"curve": pack_curve(thin(result.curve).tolist())}
            for result in results
        ],
        "network": _network(results),
        "wall_seconds": round(wall_seconds, 2),
    } | about_run(seed, command)


def about_run(seed: int, command: str) -> Document:
    """Return the fields that are needed to repeat a run."""
    return {
        "seed": seed,
        "versions": versions(),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": command,
        "commit": commit(),
    }


def commit() -> str | None:
    """Return the commit of the clone that the library is in, "-dirty" if it has changes.

    None if the library is not in a clone of git.
    """
    root = pathlib.Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _network(results: Sequence[TrialResult]) -> Document | None:
    """Return the weights of the first solved LSTM, otherwise of the first finite one, by paths."""
    shortest_decimals = np.vectorize(lambda w: float(str(w)), otypes=[float])
    for result in sorted(results, key=lambda result: not result.solved):
        if result.finite and isinstance(result.model, Model):
            leaves = jax.tree_util.tree_leaves_with_path(result.model.parameters)
            lists = {jax.tree_util.keystr(p): shortest_decimals(w).tolist() for p, w in leaves}
            return {"trial": result.index, "parameters": lists}
    return None


def thin(curve: np.ndarray, points: int = CURVE_POINTS) -> np.ndarray:
    """Return at most `points` points of a curve, each the mean of a segment, at its end."""
    if len(curve) <= points:
        return curve
    segments = np.array_split(curve, points)
    return np.array([[segment[-1, 0], *segment[:, 1:].mean(0)] for segment in segments])


def pack_curve(points: Sequence[Sequence[float]]) -> Document:
    """Return a curve as columns, with four significant digits of errors and three of fractions.

    The column of sequences holds pairs of an increment and the number of points that it leads to.

    >>> pack_curve([[1000, 0.5, 1.0], [2000, 0.25, 0.7], [2500, 0.123456, 0.0]])
    {'sequences': [[1000, 2], [500, 1]], 'error': [0.5, 0.25, 0.1235], 'wrong': [1, 0.7, 0]}
    """
    sequences = [0, *(int(point[0]) for point in points)]
    increments = itertools.groupby(b - a for a, b in itertools.pairwise(sequences))
    return {
        "sequences": [[increment, len(list(group))] for increment, group in increments],
        "error": [plain_number(point[1], 4) for point in points],
        "wrong": [plain_number(point[2], 3) for point in points],
    }


def unpack_curve(columns: Document, name: object = "", place: str = "curve.") -> list[list]:
    """Return the points of a packed curve; raise ValueError if it is not one."""
    check_fields(columns, CURVE, name, place)
    runs, error, wrong = (columns[field] for field in CURVE)
    is_run = lambda run: isinstance(run, list) and len(run) == 2 and all(map(COUNT[1], run))
    are_columns = all(map(is_run, runs)) and all(map(MAYBE[1], [*error, *wrong]))
    if not are_columns or not sum(count for _, count in runs) == len(error) == len(wrong):
        raise ValueError(f"{name} must have numbers in {place.rstrip('.')}, as many in each column")
    sequences = itertools.accumulate(step for step, count in runs for _ in range(count))
    return [list(point) for point in zip(sequences, error, wrong, strict=True)]


def plain_number(value: float | None, digits: int = 6) -> float | None:
    """Return a number with so many significant digits, and None for NaN and infinity."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.{digits}g}")


def versions() -> dict[str, str]:
    """Return the versions that decide a trial's numbers."""
    packages = ("jax", "jaxlib", "optax", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    prng = str(jax.config.values["jax_default_prng_impl"])
    return {"python": platform.python_version(), **found, "prng": prng}


def machine() -> Document:
    """Return the machine and the devices that the time of a run depends on."""
    device = jax.devices()[0]
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


def as_json(document: Document) -> bytes:
    """Return the content of a document's file, without spaces."""
    return f"{json.dumps(document, separators=(',', ':'), allow_nan=False)}\n".encode()


def write_json(path: pathlib.Path, document: Document, *, overwrite: bool = True) -> None:
    """Write a document, as `write_atomically` does."""
    write_atomically(path, as_json(document), overwrite=overwrite)


def read_object(path: pathlib.Path) -> Document:
    """Read a JSON file; raise ValueError if it is not a file or does not hold an object."""
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ValueError(f"{path} must be a file")
    try:
        document = json.loads(path.read_text())
    except RecursionError as error:
        raise ValueError(f"{path} is not JSON: it nests too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return document


def read_json(path: pathlib.Path) -> Document:
    """Read a document of this schema version; raise ValueError if it is not one."""
    document = read_object(path)
    found = document.get("schema_version")
    if found != SCHEMA_VERSION:
        hint = ": an older format, run its command again" if found == 1 else ""
        raise ValueError(f"{path} must have schema_version {SCHEMA_VERSION}, got {found!r}{hint}")
    return document


def read_result(path: pathlib.Path) -> Document:
    """Read a result file and return it as `complete` does; raise ValueError if it is not one."""
    document = {"title": "", "published": NOT_PUBLISHED} | read_json(path)
    check_fields(document, ROW, path)
    check_fields(document["published"], PUBLISHED, path, "published.")
    if not document["trials"]:
        raise ValueError(f"{path} must have trials, got none")
    for i, trial in enumerate(document["trials"]):
        check_fields(trial, TRIAL | {"curve": OBJECT}, path, f"trials[{i}].")
    return complete(document, path)


def complete(document: Document, name: object = "document") -> Document:
    """Return the content of a result file with a `summary`, and with curves as points."""
    trials = [
        trial | {"curve": unpack_curve(trial["curve"], name, f"trials[{i}].curve.")}
        for i, trial in enumerate(document["trials"])
    ]
    return document | {"trials": trials, "summary": summarise(trials)}


def summarise(trials: Sequence[Document]) -> Document:
    """Return the numbers for tables; means are over the solved trials, None if there are none."""
    solved = [trial for trial in trials if trial["solved"]]

    def over(trials: Sequence[Document], field: str, compute: Callable = np.mean) -> float | None:
        values = [trial[field] for trial in trials if trial[field] is not None]
        return compute(values).item() if values else None

    measures = ("sequences", "test_wrong", "test_error", "test_squared_error")
    return {
        "trials": len(trials),
        "solved": len(solved),
        "success_rate": 100.0 * len(solved) / len(trials),
        "median_sequences": over(solved, "sequences", np.median),
        "first_mean_sequences": over(trials, "first_rule_sequences"),
        "max_test_wrong": over(solved, "test_wrong", np.max),
    } | {f"mean_{name}": over(solved, name) for name in measures}
