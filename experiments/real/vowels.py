"""Japanese vowels: nine speakers, one of whom has said /ae/, told at the end of the utterance.

Reference:
  M. Kudo, J. Toyama and M. Shimbo. Multidimensional curve classification using passing-through
  regions. Pattern Recognition Letters 20(11-13):1103-1111, 1999.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax

from experiments.own_data.tasks import Part, Prepared
from experiments.real.base import Data, Domain, Scores, package_file
from lstm_jax import fit, softmax_cross_entropy
from lstm_jax.data import fit_scaler, split

SPEAKERS = 9
VALIDATION = 0.2  # of every speaker's training utterances
MEASURE = "wrong, %"
PENALTY = 1e-3  # of the squared weights of the logistic regression


def load(cache: pathlib.Path) -> Data:
    """Read the published parts; of the training part every speaker gives some to validation."""
    del cache
    paths = [package_file("sktime", f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]
    return make_data(*(parse(path.read_text()) for path in paths))


def parse(text: str) -> Part:
    r"""Return the utterances [T_i, I] and labels from 0 of a .ts file.

    >>> parse("@data\n1,2:3,4:9\n").inputs[0].tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    lines = text[text.lower().index("@data") :].split()[1:]
    rows = [line.split(":") for line in lines]
    inputs = [np.array([c.split(",") for c in channels], np.float64).T for *channels, _ in rows]
    return Part(inputs, [np.array(int(row[-1]) - 1, np.int32) for row in rows])


def make_data(known: Part, test: Part) -> Data:
    """Scale all parts by the training part, and classify the test part by baselines."""
    labels = np.array(known.targets)
    parts = split(len(labels), (1 - VALIDATION, VALIDATION), labels=labels)
    cut = [Part(*([values[i] for i in part] for values in known)) for part in parts]
    scaler = fit_scaler(cut[0].inputs)
    scale = lambda part: [scaler.transform(x).astype(np.float32) for x in part.inputs]
    scaled = [Part(scale(part), part.targets) for part in (*cut, test)]
    true = np.array(test.targets)
    wrong = lambda predicted: {MEASURE: float(100 * np.mean(predicted != true))}

    def score(outputs: Sequence[np.ndarray]) -> Scores:
        return wrong(np.argmax(outputs, -1))

    largest = np.bincount(true).argmax()
    predicted = logistic_regression(Part(scale(known), known.targets), scaled[2].inputs)
    baselines = {
        "largest class": wrong(largest),
        "logistic regression on mean, spread, first, last": wrong(predicted),
    }
    published = {"regions (Kudo et al.)": {MEASURE: 5.9}, "HMM (Kudo et al.)": {MEASURE: 3.8}}
    prepared = Prepared(scaled, SPEAKERS, False, {"scaler": [x.tolist() for x in scaler]})
    return Data(
        prepared, known.inputs[0].shape[1], softmax_cross_entropy, score, baselines, published
    )


def of_speakers(data: Data, speakers: range) -> Data:
    """Return the utterances of some speakers, numbered from 0, scaled as those of all."""

    def of_part(part: Part) -> Part:
        pairs = zip(part.inputs, part.targets, strict=True)
        kept = [(x, y - np.int32(speakers.start)) for x, y in pairs if y in speakers]
        return Part(*map(list, zip(*kept, strict=True)))

    parts = [of_part(part) for part in data.prepared.parts]
    return data._replace(prepared=data.prepared._replace(parts=parts, num_outputs=len(speakers)))


def summary(sequence: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation, first and last value of every channel, [4 I]."""
    return np.concatenate([sequence.mean(0), sequence.std(0), sequence[0], sequence[-1]])


def logistic_regression(training: Part, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the classes of sequences by their summaries; all training utterances are used."""
    features = np.stack([summary(x) for x in training.inputs])
    scaler = fit_scaler(features)
    with_bias = lambda rows: np.pad(scaler.transform(rows), ((0, 0), (0, 1)), constant_values=1)
    x, labels = jnp.float32(with_bias(features)), jnp.array(training.targets)

    def loss(weights: jnp.ndarray, _: np.ndarray) -> jnp.ndarray:
        of_all = optax.softmax_cross_entropy_with_integer_labels(x @ weights, labels)
        return of_all.mean() + PENALTY * jnp.sum(weights**2)

    start = jnp.zeros((x.shape[1], SPEAKERS))
    weights = fit(loss, start, optax.adam(0.05), [np.zeros(1)], epochs=500).parameters
    return np.argmax(with_bias(np.stack([summary(x) for x in inputs])) @ np.array(weights), -1)


DOMAIN = Domain(
    title="The speaker of an utterance",
    about=(
        "Japanese vowels: 12 cepstra a frame, 7 to 29 frames, nine speakers (UCI, CC BY 4.0, in "
        "the package sktime). The published parts, 270 utterances for training and 370 for the "
        "test; a fifth of each speaker's training utterances chooses the epoch."
    ),
    load=load,
    cells=8,
    epochs=200,
    patience=30,
    batch_size=24,
)
