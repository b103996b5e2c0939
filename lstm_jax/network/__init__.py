"""One network on one sequence: what it looks like, what it computes, what its gradient is."""
