"""The measurements of `experiments.benchmark`, one module for each group of cases."""
