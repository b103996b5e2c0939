"""The LSTM of Hochreiter & Schmidhuber (1997) in JAX: cell, truncated gradient, tasks, baselines.

    Architecture -> initialise -> apply -> loss -> jax.grad -> optax
    data.split -> data.fit_scaler -> data.batches -> fit -> scores -> save

`Architecture` describes a network, `initialise` draws its weights, `apply` computes its outputs for
one sequence, and `jax.grad` of a loss on them is the paper's truncated gradient. `learn` and
`update` compute the same gradient in forward mode, for streams. `fit` trains any loss on batches of
your own data, which `data` makes and `scores` judges. `make_task`, `make_recipe`,
`TrainingLoop` and `TrialRunner` reproduce the paper's experiments; `baselines` has the methods that
the paper compares with. Functions are for one sequence and one network; `jax.vmap` lifts them to
batches. On a CPU, small networks are several times as fast after `configure_cpu()`.
"""

import jax

if jax.__version_info__ < (0, 10):  # before anything breaks for want of what it has brought
    raise ImportError(
        f"lstm_jax needs jax 0.10 or newer, but {jax.__version__} is loaded: pip install -U jax, "
        "and restart Python (in a notebook: the runtime)"
    )

from lstm_jax import baselines, data, network, plots, tasks, training
from lstm_jax.analysis import scores
from lstm_jax.analysis.diagnostics import Finding, diagnose
from lstm_jax.cell.activations import ACTIVATIONS, Activation, register_activation
from lstm_jax.cell.architecture import Architecture
from lstm_jax.cell.parameters import check_parameters, initialise
from lstm_jax.cell.records import (
    Activations,
    OutputWeights,
    Parameters,
    StackParameters,
    State,
    UnitWeights,
)
from lstm_jax.cell.scan import Steps
from lstm_jax.cell.stack import Stack, make_stack
from lstm_jax.cell.step import zero_state
from lstm_jax.cell.units import Layer
from lstm_jax.network import online, streaming
from lstm_jax.network.attention import (
    AdditiveAttention,
    Attention,
    DotProductAttention,
    additive_attention,
    dot_product_attention,
)
from lstm_jax.network.chunkwise import learn_chunk
from lstm_jax.network.files import load, save
from lstm_jax.network.interop import from_library, to_library
from lstm_jax.network.layer import apply, bidirectional, net_inputs_only, output_units, step, unroll
from lstm_jax.network.losses import (
    LOSSES,
    Loss,
    cross_entropy,
    half_squared_error,
    softmax_cross_entropy,
)
from lstm_jax.network.online import (
    Learner,
    init_learner,
    learn,
    online_gradient,
    start_sequence,
    update,
)
from lstm_jax.network.padding import pad_sequences
from lstm_jax.network.run import RunOptions
from lstm_jax.network.states import load_state, save_state
from lstm_jax.tasks import Example, Hyperparameters, Task, make_task, row_names
from lstm_jax.training.fit import Epoch, FitResult, FitState, fit, init_fit, mean_loss, write_epochs
from lstm_jax.training.host import processes
from lstm_jax.training.host.cpu import configure_cpu
from lstm_jax.training.recipes.recipe import Recipe, make_recipe
from lstm_jax.training.runs.progress import EpochBar
from lstm_jax.training.trials.records import TrialResult
from lstm_jax.training.trials.runner import TrialRunner
from lstm_jax.training.trials.training_loop import TrainingLoop
from lstm_jax.training.update_rules.base import BatchUpdateRule, UpdateRule, Vmapped
from lstm_jax.training.update_rules.per_sequence import PerSequenceUpdate

__version__ = "0.2.0"

__all__ = (
    "ACTIVATIONS",
    "LOSSES",
    "Activation",
    "Activations",
    "AdditiveAttention",
    "Architecture",
    "Attention",
    "BatchUpdateRule",
    "DotProductAttention",
    "Epoch",
    "EpochBar",
    "Example",
    "Finding",
    "FitResult",
    "FitState",
    "Hyperparameters",
    "Layer",
    "Learner",
    "Loss",
    "OutputWeights",
    "Parameters",
    "PerSequenceUpdate",
    "Recipe",
    "RunOptions",
    "Stack",
    "StackParameters",
    "State",
    "Steps",
    "Task",
    "TrainingLoop",
    "TrialResult",
    "TrialRunner",
    "UnitWeights",
    "UpdateRule",
    "Vmapped",
    "additive_attention",
    "apply",
    "baselines",
    "bidirectional",
    "check_parameters",
    "configure_cpu",
    "cross_entropy",
    "data",
    "diagnose",
    "dot_product_attention",
    "fit",
    "from_library",
    "half_squared_error",
    "init_fit",
    "init_learner",
    "initialise",
    "learn",
    "learn_chunk",
    "load",
    "load_state",
    "make_recipe",
    "make_stack",
    "make_task",
    "mean_loss",
    "net_inputs_only",
    "network",
    "online",
    "online_gradient",
    "output_units",
    "pad_sequences",
    "plots",
    "processes",
    "register_activation",
    "row_names",
    "save",
    "save_state",
    "scores",
    "softmax_cross_entropy",
    "start_sequence",
    "step",
    "streaming",
    "tasks",
    "to_library",
    "training",
    "unroll",
    "update",
    "write_epochs",
    "zero_state",
)
