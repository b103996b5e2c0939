"""Runs: checkpoints, result files and progress bars."""
