"""Tuning: settings of a row that an optimiser proposes, tried on several trials each."""
