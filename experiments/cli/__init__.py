"""Shared parts of all commands: flags, help, files, progress and the machine's settings."""
