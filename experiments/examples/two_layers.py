"""Two layers, one on top of the other.

    python -m experiments.examples.two_layers

The inputs of the upper layer are the outputs of the lower one. Each layer truncates the errors that
leave it and would enter it again, but not those that pass to the layer below. With gradient="full"
nothing is truncated, and the derivative agrees with a finite difference. `make_stack` takes
`bidirectional=True` and `dropout=0.2` as well; dropout acts where `apply` is given a key.
"""

import jax
import jax.numpy as jnp

import lstm_jax as lstm

NET = lstm.make_stack(num_inputs=3, blocks=((2, 2), (2,)), num_outputs=1)


def loss(parameters, inputs, target, options):
    """Return the loss of one sequence [T, 3] and its target [1]."""
    output, _ = lstm.apply(NET, parameters, inputs, at="end", options=options)
    return lstm.half_squared_error(output, target)


def main() -> tuple[float, float, float]:
    """Return the derivative by a weight of the lower layer: truncated, full, and numerical."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 2)
        parameters = lstm.initialise(keys[0], NET, init_range=1.0, dtype=jnp.float64)
        data = (jax.random.normal(keys[1], (20, 3)), jnp.array([1.0]))
        options = {name: lstm.RunOptions(gradient=name) for name in ("truncated", "full")}

        def changed(change, name):
            """Return the loss after a change of one weight of the lower layer."""
            lower, upper = parameters.layers
            cell = lower.cell._replace(input=lower.cell.input.at[0, 0].add(change))
            layers = (lower._replace(cell=cell), upper)
            return loss(parameters._replace(layers=layers), *data, options[name])

        truncated, full = (float(jax.grad(changed)(0.0, name)) for name in options)
        numerical = float((changed(1e-5, "full") - changed(-1e-5, "full")) / 2e-5)
    print(f"derivative by a weight of the lower layer: truncated {truncated:.8f},")
    print(f"full {full:.8f}, finite difference {numerical:.8f}")
    return truncated, full, numerical


if __name__ == "__main__":
    main()
