"""A trained network for programs without this library.

    python -m experiments.export --net=out/6a.json --out=6a.bin
    python -m experiments.export --net=DIR/net.safetensors --format=torch --out=torch.safetensors

stablehlo: a compiled function with its weights, for any batch and any number of steps, on CPUs and
GPUs. The other program needs only JAX, of the same version or a later one:

    network = jax.export.deserialize(bytearray(pathlib.Path("6a.bin").read_bytes()))
    outputs = network.call(inputs)  # [B, T, I] float32 to [B, T, K]

With --symbols, inputs are [B, T] int32. Padding at the end changes no output before it. Inputs of
a network of `fit` are to be scaled as its .json says.

torch: the weights of `torch.nn.LSTM` under "lstm." and of `torch.nn.Linear` under "output.", for
`safetensors.torch.load_file`; only for networks that torch has, such as those of `fit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli.command import Command, FlagSet, FlagValues, configure
from experiments.cli.files import check_free
from lstm_jax import Architecture, Parameters, apply, load, to_library
from lstm_jax.network.writing import write_atomically

FORMATS = ("stablehlo", "torch")


def define(flags: FlagSet) -> None:
    flags.file("net", "A .safetensors file, or a result file (required).")
    flags.file("out", "The file to write (required).")
    flags.choice("format", "stablehlo", FORMATS, "The format.")
    flags.switch("symbols", False, "Whether inputs are integers.")
    flags.switch("overwrite", False, "Replace an existing file.")


def main(values: FlagValues) -> None:
    """Write the network."""
    configure()
    try:
        net, parameters = load(values.net)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"--net={values.net}: {error}") from error
    out = values.out
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"--out must be a file in an existing folder, got {out}")
    check_free(out, values.overwrite)
    if values.format == "torch":
        content = torch_weights(net, parameters)
    else:
        content = stablehlo(net, parameters, values.symbols)
    write_atomically(out, content, overwrite=values.overwrite)
    print(f"wrote {out}, {len(content):,} bytes")


def stablehlo(net: Architecture, parameters: Parameters, symbols: bool = False) -> bytes:
    """Return the outputs at every step as a serialised function of the inputs of a batch."""
    from jax import export

    run = jax.jit(jax.vmap(lambda inputs: apply(net, parameters, inputs)[0]))
    batch, steps = export.symbolic_shape("B, T")
    shape, dtype = (batch, steps), jnp.int32
    if not symbols:
        shape, dtype = (batch, steps, net.num_inputs), parameters.output.cell.dtype
    inputs = jax.ShapeDtypeStruct(shape, dtype)
    return bytes(export.export(run, platforms=["cpu", "cuda"])(inputs).serialize())


def torch_weights(net: Architecture, parameters: Parameters) -> bytes:
    """Return the weights as torch has them; raise ValueError if it has no such network."""
    from safetensors.numpy import save as as_safetensors

    if net.layers[-1].input_to_output:
        raise ValueError("torch.nn.Linear has no input_to_output of architecture")
    arrays = to_library("torch.nn.LSTM", net, parameters)
    named = {f"lstm.{name}": array for name, array in arrays.items()}
    dtype = arrays["weight_ih_l0"].dtype  # bfloat16 has become float32
    named["output.weight"] = np.array(parameters.output.cell.T, dtype, order="C")
    if parameters.output.bias is not None:
        named["output.bias"] = np.array(parameters.output.bias, dtype)
    return as_safetensors(named)


COMMAND = Command("export", __doc__, define, main)
if __name__ == "__main__":
    COMMAND.run()
