"""Runs a case under a setting of XLA, and says what was run on what."""

from __future__ import annotations

import datetime
import importlib.metadata
import os

from experiments.benchmarks.cases import CASES, DEFAULT, DEVICES
from experiments.benchmarks.measure import Plan
from experiments.cli.command import command_line
from lstm_jax.network.files import Document
from lstm_jax.training.host.cpu import configure_cpu
from lstm_jax.training.runs.result_file import SCHEMA_VERSION, machine, versions

PEERS = ("flax", "dm-haiku", "equinox", "torch")


def run(case: str, setting: str, plan: Plan) -> Document:
    """Measures in this process, in which JAX must not have started under another setting."""
    if setting != DEFAULT:
        configure_cpu(DEVICES.get(setting))
    measurements = CASES[case].run(plan)
    for measurement in measurements:
        measurement.setting = setting
    return {
        "schema_version": SCHEMA_VERSION,
        "case": case,
        "title": CASES[case].title,
        "goal": CASES[case].goal,
        "quick": plan.quick,
        "repeats": plan.repeats,
        "setting": setting,
        "flags": os.environ.get("XLA_FLAGS", ""),
        "measurements": [measurement.to_json() for measurement in measurements],
        "versions": versions() | _peers(),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": command_line(),
    }


def _peers() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
