"""What a dream maximises: one module for each kind of objective, and `chosen` to make them from the settings.

The objective is a weighted sum over layers, E = Σ c e, and each e is a sum over the cells of one layer's map. So tiles can
share the work exactly: a tile adds its own cells' part of e and of its gradient, and nobody else needs to know which kind
of objective it is.
"""
