"""One step of a network and its scan over a sequence: what is computed (eqs. 6-9)."""
