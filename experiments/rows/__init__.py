"""Rows of the paper's tables: run, read, tabulate and draw."""
