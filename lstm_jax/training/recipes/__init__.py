"""Recipes: named sets of overrides of the paper's hyperparameters."""
