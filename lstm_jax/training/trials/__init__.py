"""Trials of a task: the compiled training loop, stopping rules, and the runner of many trials."""
