"""Trials: the training loop, its stopping rules, and many trials on many devices."""
