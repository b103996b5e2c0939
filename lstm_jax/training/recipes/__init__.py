"""Recipes: named overrides of the paper's hyperparameters."""
