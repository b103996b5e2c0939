"""Data of one's own on the host: tables, splits, scaling, windows and batches, in NumPy.

    columns or group -> split or split_time -> fit_scaler -> windows -> batches -> fit

Each function takes and returns arrays, so any of them can be left out or replaced.
"""

from lstm_jax.data.batches import Batch, batches
from lstm_jax.data.scaling import Scaler, fit_scaler
from lstm_jax.data.splits import split, split_time
from lstm_jax.data.tables import columns, group
from lstm_jax.data.windows import windows

__all__ = (
    "Batch",
    "Scaler",
    "batches",
    "columns",
    "fit_scaler",
    "group",
    "split",
    "split_time",
    "windows",
)
