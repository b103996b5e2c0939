"""How do I put one layer on top of another?

    python -m experiments.examples.two_layers

The upper layer's inputs are the lower one's cell outputs, and `jax.grad` takes the upper one's
error down to the lower one's weights: every layer cuts errors that would leave and enter again,
none that pass from layer to layer. With gradient="full", nothing is cut, and the derivative is
what a small change of a weight does to the error.
"""

import jax
import jax.numpy as jnp

import lstm_jax as lstm
from lstm_jax.network.layer import Gradient

LOWER = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)  # whose outputs go unused
UPPER = lstm.Architecture(num_inputs=LOWER.num_cells, blocks=(2,), num_outputs=1)


def error(both, inputs, target, gradient: Gradient = "truncated"):
    """Of one sequence [T, 3] and its target [1]."""
    lower, upper = both
    activations, _ = lstm.unroll(LOWER, lower, inputs, options=lstm.RunOptions(gradient=gradient))
    output, _ = lstm.apply(
        UPPER, upper, activations.cell_output, at="end", options=lstm.RunOptions(gradient=gradient)
    )
    return lstm.half_squared_error(output, target)


def main() -> tuple[float, float, float]:
    """The derivatives of the error by a weight of the lower layer: cut, in full, by a change."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        lower = lstm.initialise(keys[0], LOWER, init_range=1.0, dtype=jnp.float64)
        upper = lstm.initialise(keys[1], UPPER, init_range=1.0, dtype=jnp.float64)
        given = (jax.random.normal(keys[2], (20, 3)), jnp.array([1.0]))

        def of_weight(change):
            cell = lower.layer.cell._replace(input=lower.layer.cell.input.at[0, 0].add(change))
            return error((lower._replace(layer=lower.layer._replace(cell=cell)), upper), *given)

        cut, full = (
            float(jax.grad(error)((lower, upper), *given, how)[0].layer.cell.input[0, 0])
            for how in ("truncated", "full")
        )
        by_change = float((of_weight(1e-5) - of_weight(-1e-5)) / 2e-5)
    print(f"by a weight of the lower layer: {full:.8f} in full, {by_change:.8f} by a change of")
    print(f"0.00001 either way, {cut:.8f} with the paper's cuts in both layers")
    return cut, full, by_change


if __name__ == "__main__":
    main()
