"""Shared parts of all commands: flags, help, files and settings of JAX."""
