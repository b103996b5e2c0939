"""The truncated gradient (eqs. 10-28): its equations, reverse mode and forward traces."""
