"""What a claim is, and how variants of a task are compared."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from experiments.cli.command import command_line
from experiments.rows import figures as pictures
from lstm_jax.network.files import Document
from lstm_jax.network.layer import Gradient
from lstm_jax.tasks import Task, replace_hyperparameters
from lstm_jax.training.runs.result_file import complete, make_document
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a claim is shown.

    Attributes:
      trials: of each variant.
      seed: of all random numbers.
      quiet: whether nothing is printed but errors.
    """

    trials: int = 8
    seed: int = 0
    quiet: bool = False

    def say(self, sentence: str) -> None:
        """Prints it, unless told to be quiet."""
        if not self.quiet:
            print(sentence, flush=True)


class Claim(Protocol):
    """A module of this package."""

    def run(self, settings: Settings, /) -> Document:
        """Finds out; the result is plain data for JSON."""
        ...

    def draw(self, document: Document, /) -> Figure:
        """The picture of what `run` found."""
        ...


def by_descent(task: Task, gradient: Gradient = "truncated") -> TrainingLoop:
    """How the LSTM learns a task by the paper's rate and update, with either gradient."""
    return TrainingLoop(replace_hyperparameters(task, gradient=gradient))


def compare(variants: Mapping[str, TrainingLoop], settings: Settings) -> Document:
    """Runs the trials of every variant, and documents them under their labels."""
    rows = [_documented(label, loop, settings) for label, loop in variants.items()]
    return {"variants": rows}


def _documented(label: str, loop: TrainingLoop, settings: Settings) -> Document:
    started = time.monotonic()
    results = TrialRunner(loop, range(settings.trials), seed=settings.seed).run()
    document = complete(
        make_document(
            loop.task,
            results,
            recipe=label,
            changes=label,
            wall_seconds=time.monotonic() - started,
            seed=settings.seed,
            command=command_line(),
        )
    )
    summary = document["summary"]
    found = f"{summary['solved']} of {settings.trials}, mean {summary['mean_sequences']}"
    settings.say(f"{label}: {found}")
    return document | {"network": None}


def draw_comparison(document: Document) -> Figure:
    """The picture of what `compare` found."""
    return pictures.sequences_to_success(document["variants"], lambda row: row["recipe"])


def measure(
    variants: Mapping[str, TrainingLoop],
    of_one: Callable[[TrainingLoop, Settings], Document],
    settings: Settings,
) -> dict[str, Document]:
    """What `of_one` finds of every variant; it tells at least how many trials were `solved`."""
    found = {}
    for label, loop in variants.items():
        found[label] = of_one(loop, settings)
        settings.say(f"{label}: {found[label]['solved']} of {settings.trials} solved")
    return found
