"""Networks on sequences: outputs, losses and gradients.

`layer` and `outputs` run a network, and `losses` defines the losses of its outputs; `jax.grad` then
gives the gradient in reverse mode. `online` and `chunkwise` give it in forward mode, for streams.
`bidirectional` and `attention` compose networks, `padding` makes batches of sequences, `files` and
`interop` exchange networks.
"""

import contextlib

from jax import export

from lstm_jax.cell.architecture import Layer
from lstm_jax.cell.parameters import OutputWeights, Parameters, UnitWeights
from lstm_jax.cell.scan import Activations
from lstm_jax.cell.step import State

# So that `jax.export` can write compiled functions of these to files.
for _fields in (Parameters, Layer, UnitWeights, OutputWeights, State, Activations):
    with contextlib.suppress(ValueError):  # registered before: the module is reloaded
        export.register_namedtuple_serialization(
            _fields, serialized_name=f"lstm_jax.{_fields.__name__}"
        )
