"""A trained network for a program without this library.

    python -m experiments.examples.export NETWORK.bin

`jax.export` writes a compiled function with its weights to a file, for sequences of any length, on
CPUs and GPUs. The other program needs only JAX, of the same version or a later one:

    import jax, pathlib
    network = jax.export.deserialize(bytearray(pathlib.Path("NETWORK.bin").read_bytes()))
    outputs = network.call(inputs)  # [T, 3] float32 to [T, 1]

Needs the extra `export`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
from jax import export

import lstm_jax as lstm

NET = lstm.Architecture(num_inputs=3, blocks=(2, 2), num_outputs=1)


def network(inputs: jax.Array) -> jax.Array:
    """Compute the outputs [T, 1] of a sequence [T, 3], with random weights as an example."""
    return lstm.apply(NET, lstm.initialise(jax.random.key(0), NET), inputs)[0]


def main(path: str) -> pathlib.Path:
    """Write the network to a file."""
    (steps,) = export.symbolic_shape("T")
    inputs = jax.ShapeDtypeStruct((steps, NET.num_inputs), jnp.float32)
    exported = export.export(jax.jit(network), platforms=["cpu", "cuda"])(inputs)
    file = pathlib.Path(path)
    file.write_bytes(exported.serialize())
    print(f"wrote {file}, {file.stat().st_size} bytes")
    return file


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m experiments.examples.export NETWORK.bin")
    main(sys.argv[1])
