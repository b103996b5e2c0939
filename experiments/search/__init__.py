"""A search for the hyperparameters and memory blocks of a row."""
