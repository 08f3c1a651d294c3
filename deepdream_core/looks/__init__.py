"""Sheets to choose looks from: one photograph in many looks, small, as a page and as a picture.

::

    choice, vary    which looks: all presets, all layers, or values of settings
    command         the line that a person types for one of them
    small           the photograph at a tile's size, and its dream as a JPEG
    board           what both of these show, and how far it has come
    page, sheet     the HTML page, which is also the memory of what is done; the labelled picture
    report, run     what is told meanwhile; dreaming what is missing
"""

SIDE = 300
"""Short side of a tile in px, where nothing else is asked for."""
