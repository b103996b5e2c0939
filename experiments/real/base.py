"""The interface of a domain: data inside a package, with baselines and published figures."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.own_data.tasks import Loss, Prepared

Scores = dict[str, float]  # by measure; lower is better


class Data(NamedTuple):
    """Data of a domain, and what is known of them without a network.

    Attributes:
      prepared: parts for training, validation and test, scaled by the training part.
      num_inputs: I.
      loss: of the net inputs of a sequence.
      score: the measures of the net inputs for the test part.
      baselines: the measures of simple methods, computed here.
      published: measures from the literature; those that it does not give are left out.
    """

    prepared: Prepared
    num_inputs: int
    loss: Loss
    score: Callable[[list[np.ndarray]], Scores]
    baselines: dict[str, Scores]
    published: dict[str, Scores]


@dataclasses.dataclass(frozen=True)
class Domain:
    """A domain and the budget of its networks.

    Attributes:
      title: what is learned.
      about: source, licence and split, in a few sentences.
      load: makes the data; the folder is for what took long to extract.
      cells: memory cells of the 1997 network; others have about as many weights.
      epochs: epochs at most.
      patience: epochs without a lower validation loss before the end.
      batch_size: sequences in a batch.
    """

    title: str
    about: str
    load: Callable[[pathlib.Path], Data]
    cells: int
    epochs: int
    patience: int
    batch_size: int = 16


def package_file(package: str, name: str) -> pathlib.Path:
    """Return the path of a file inside an installed package, which is not imported."""
    try:
        files = importlib.metadata.files(package) or ()
    except importlib.metadata.PackageNotFoundError as error:
        install = "pip install 'lstm_jax[data]'"
        raise ImportError(f"these data are in the package {package}: {install}") from error
    for file in files:
        if str(file).endswith(name):
            return pathlib.Path(str(file.locate()))
    version = importlib.metadata.version(package)
    raise ImportError(f"{package} {version} does not contain {name}; see the extra data")
