"""The network's forward pass: one step (eqs. 6-9), its scan over a sequence, and its weights."""
