"""One question each, answered by a page that runs: `python -m experiments.examples.NAME`."""
