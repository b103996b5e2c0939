"""The truncated gradient (eqs. 10-28): its equations, reverse mode, forward mode and reference."""
