"""Plots of trials, activations, error flow, classes and forecasts (extra `plots`).

Every function returns a Matplotlib figure. A notebook displays it, `save` writes it to a file.
Matplotlib's global state is not touched. `style` defines the colours and fonts.
"""

from lstm_jax.plots.activations import gates_at_symbols, network_at_work
from lstm_jax.plots.curves import LiveCurve, compare_trials, error_flow, learning_curves
from lstm_jax.plots.names import class_names, symbol_names
from lstm_jax.plots.scores import confusion_matrix, forecast
from lstm_jax.plots.style import save

__all__ = (
    "LiveCurve",
    "class_names",
    "compare_trials",
    "confusion_matrix",
    "error_flow",
    "forecast",
    "gates_at_symbols",
    "learning_curves",
    "network_at_work",
    "save",
    "symbol_names",
)
