"""The host: devices, processes, signals and CPU flags."""
