"""Runnable examples of a page each: `python -m experiments.examples.NAME`."""
