"""One network on one sequence: what it looks like, what it computes, what its gradient is.

From the ground up: `activations`, `units` and `architecture` describe a network, `parameters` are
its weights. `cell` is one step (eqs. 6-9), `recurrence` a sequence of them. `truncated` has the
equations of the gradient (19-28), which `reverse_mode` gives to `jax.grad` and `online` takes
forward in time. `layer` and `outputs` are what users call, `checks` what they get wrong, `errors`
what is to be small. Composed of these: `both_directions`, and `attention` as a readout; `interop`
exchanges layers with other libraries.
"""

import contextlib

from jax import export

from lstm_jax.cell.parameters import OutputWeights, Parameters, UnitWeights
from lstm_jax.cell.scan import Activations
from lstm_jax.cell.step import State
from lstm_jax.cell.units import Layer

# So that compiled functions of them can be written to a file (`jax.export`).
for _fields in (Parameters, Layer, UnitWeights, OutputWeights, State, Activations):
    with contextlib.suppress(ValueError):  # was registered: this module is imported anew
        export.register_namedtuple_serialization(
            _fields, serialized_name=f"lstm_jax.{_fields.__name__}"
        )
