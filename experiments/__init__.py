"""The paper's experiments as commands: `python -m experiments.NAME --help`."""
