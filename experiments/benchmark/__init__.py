"""Benchmarks of this library and its peers."""
