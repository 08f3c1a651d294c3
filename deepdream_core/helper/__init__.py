"""The helper: one local process that owns the devices, and a worker process for each of them."""
