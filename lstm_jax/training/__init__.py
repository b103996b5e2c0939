"""Trials: how a network learns a task, when it is solved, and what is kept of it."""
