"""Error flow in time, and diagnostics of a trained network."""
