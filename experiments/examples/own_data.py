"""Your own data: from a table to a trained classifier, its scores and its files.

    python -m experiments.examples.own_data

240 machines vibrate in two channels; those that are worn also swing slowly. The table has a row per
measurement, as a DataFrame would. Every step may be left out or replaced.
"""

import functools
import tempfile

import jax
import numpy as np
import optax

import lstm_jax as lstm
from lstm_jax import data, plots, scores

NET = lstm.Architecture(2, blocks=(1,) * 8, num_outputs=2, output="softmax", forget_gates=True)
OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.02))


def measure() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw a table, 30 to 60 rows per machine, and whether each machine is worn."""
    rng = np.random.default_rng(0)
    lengths, worn = rng.integers(30, 61, 240), rng.integers(0, 2, 240)
    machine = np.repeat(np.arange(240), lengths)
    time = np.concatenate([np.arange(length) for length in lengths])
    swing = 1.5 * worn[machine] * np.sin(time / 5 + rng.uniform(0, 6, 240)[machine])
    x, y = rng.normal(size=(2, len(machine)))
    return {"machine": machine, "x": 20 + x + swing, "y": 5 * y}, worn


def net_inputs(parameters, batch):
    """Return the net inputs of the output units at the end of every sequence, [B, K]."""

    def of_one(inputs, length):
        linear, steps = lstm.net_inputs_only(NET), lstm.Steps(length=length)
        return lstm.apply(linear, parameters, inputs, at="end", steps=steps)[0]

    return jax.vmap(of_one)(batch.inputs, batch.lengths)


def loss(parameters, batch):
    """Return the mean loss of a batch."""
    return jax.vmap(lstm.softmax_cross_entropy)(net_inputs(parameters, batch), batch.targets).mean()


def main() -> float:
    """Return the accuracy on the test part."""
    table, labels = measure()
    _, sequences = data.group(table, ["x", "y"], by="machine")
    parts = data.split(len(sequences), (4 / 6, 1 / 6, 1 / 6), labels=labels)
    scaler = data.fit_scaler([sequences[i] for i in parts[0]])  # of the training part alone
    scaled = [scaler.transform(sequence) for sequence in sequences]
    train, valid, test = (
        functools.partial(data.batches, [scaled[i] for i in part], labels[part]) for part in parts
    )
    result = lstm.fit(
        loss,
        lstm.initialise(jax.random.key(0), NET, forget_gate_bias=(2.0,) * 8),
        OPTIMISER,
        lambda epoch: train(epoch=epoch, size=40),
        validate=lstm.mean_loss(loss, list(valid(size=40))),
        patience=8,
    )
    (batch,) = test(size=len(parts[2]))
    predicted = net_inputs(result.parameters, batch).argmax(-1)
    matrix = scores.confusion_matrix(batch.targets, predicted, num_classes=2)
    with tempfile.TemporaryDirectory() as out:
        plots.save(plots.confusion_matrix(matrix, classes=["sound", "worn"]), f"{out}/classes.png")
        lstm.save(f"{out}/net.safetensors", NET, result.parameters)
        lstm.save_state(f"{out}/state.safetensors", (result.state, scaler))  # to go on later
    accuracy = scores.accuracy(batch.targets, predicted)
    print(f"{accuracy:.0%} of the test sequences are classified correctly")
    return accuracy


if __name__ == "__main__":
    main()
