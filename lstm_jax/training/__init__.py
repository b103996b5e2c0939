"""Training of trials: update rules, recipes, stopping rules, checkpoints and result files."""
