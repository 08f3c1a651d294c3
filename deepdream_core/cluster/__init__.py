"""Several machines dream the pictures of one: Dask distributes them, and each machine's own helper computes them.

A cluster is a Dask scheduler and workers that connect to it. What travels is pixels and settings, and Dask keeps no state
that matters: the program that has the pictures decodes them, waits for each dream, and writes it as if alone.
"""
