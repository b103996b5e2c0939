"""The machine that a run uses: CPU flags, devices, processes and signals."""
