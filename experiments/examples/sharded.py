"""Training on two devices: a batch on both, or the weights of a big network on both.

    python -m experiments.examples.sharded

Here two CPU devices stand for two accelerators. Arrays carry how they are split over the mesh.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

import lstm_jax as lstm

NET = lstm.Architecture(num_inputs=4, blocks=(2,) * 32, num_outputs=2)
OPTIMISER = optax.sgd(0.05)


def loss(parameters, inputs, targets):
    """Return the mean loss of sequences [B, T, I] with targets [B, K] at their end."""
    run = lambda x: lstm.apply(NET, parameters, x, at="end")[0]
    return jax.vmap(lambda x, t: lstm.half_squared_error(run(x), t))(inputs, targets).mean()


@jax.jit
def update(parameters, inputs, targets):
    """Make one step of the optimiser, and return the loss before it."""
    before, gradient = jax.value_and_grad(loss)(parameters, inputs, targets)
    updates, _ = OPTIMISER.update(gradient, OPTIMISER.init(parameters))
    return optax.apply_updates(parameters, updates), before


def train(batch: P, weights: P) -> tuple[lstm.Parameters, list[float]]:
    """Train with the batch and the weight matrices split as given, for ten steps."""
    rng, losses = np.random.default_rng(0), []
    inputs = jax.device_put(rng.normal(size=(8, 20, 4)).astype(np.float32), batch)
    targets = jax.device_put(jnp.tile(jnp.array([0.2, 0.8]), (8, 1)), batch)
    drawn = lstm.initialise(jax.random.key(0), NET)
    parameters = jax.tree.map(lambda w: jax.device_put(w, weights if w.ndim > 1 else P()), drawn)
    for _ in range(10):
        parameters, before = update(parameters, inputs, targets)
        losses.append(float(before))
    return parameters, losses


def main() -> dict[str, tuple[lstm.Parameters, list[float]]]:
    """Return the weights and the losses of training with each split."""
    of_weights = P(), P(None, "devices")
    splits = {"neither": (P(), P()), "batch": (P("devices"), P()), "weights": of_weights}
    with jax.set_mesh(jax.make_mesh((2,), ("devices",))):
        results = {name: train(*split) for name, split in splits.items()}
    for name, (_, losses) in results.items():
        print(f"{name} split: loss of the first step {losses[0]:.4f}, of the last {losses[-1]:.4f}")
    return results


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    main()
