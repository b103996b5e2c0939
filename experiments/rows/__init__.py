"""Rows of the paper's tables: their runs, result files, tables and pictures."""
