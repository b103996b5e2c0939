"""Two layers, one on top of the other.

    python -m experiments.examples.two_layers

The upper layer's inputs are the lower layer's cell outputs. Each layer truncates the errors that
leave it and would enter it again, but not those that pass to the layer below. With gradient="full"
nothing is truncated, and the derivative agrees with a finite difference.
"""

import jax
import jax.numpy as jnp

import lstm_jax as lstm
from lstm_jax.network.run import Gradient

LOWER = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)  # its outputs are unused
UPPER = lstm.Architecture(num_inputs=LOWER.num_cells, blocks=(2,), num_outputs=1)


def loss(parameters, inputs, target, gradient: Gradient = "truncated"):
    """Return the loss of one sequence [T, 3] and its target [1]."""
    lower, upper = parameters
    options = lstm.RunOptions(gradient=gradient)
    activations, _ = lstm.unroll(LOWER, lower, inputs, options=options)
    output, _ = lstm.apply(UPPER, upper, activations.cell_output, at="end", options=options)
    return lstm.half_squared_error(output, target)


def main() -> tuple[float, float, float]:
    """Return the derivative by a weight of the lower layer: truncated, full, and numerical."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        lower = lstm.initialise(keys[0], LOWER, init_range=1.0, dtype=jnp.float64)
        upper = lstm.initialise(keys[1], UPPER, init_range=1.0, dtype=jnp.float64)
        data = (jax.random.normal(keys[2], (20, 3)), jnp.array([1.0]))

        def changed(change):
            cell = lower.layer.cell._replace(input=lower.layer.cell.input.at[0, 0].add(change))
            return loss((lower._replace(layer=lower.layer._replace(cell=cell)), upper), *data)

        derivative = lambda name: jax.grad(loss)((lower, upper), *data, name)[0].layer.cell.input
        truncated, full = (float(derivative(name)[0, 0]) for name in ("truncated", "full"))
        numerical = float((changed(1e-5) - changed(-1e-5)) / 2e-5)
    print(f"derivative by a weight of the lower layer: truncated {truncated:.8f},")
    print(f"full {full:.8f}, finite difference {numerical:.8f}")
    return truncated, full, numerical


if __name__ == "__main__":
    main()
