"""Sheets to choose looks from: one photograph in many looks, small, as a page and as a picture.

::

    choice, vary    which looks: all presets, all layers, channels, or values of settings
    command         the command line for one of them
    small           the photograph at a tile's size, and its dream as a JPEG
    board           the content of page and sheet, and the progress
    page, sheet     the HTML page, which also stores the finished tiles; the labelled picture
    report, run     progress output; dreaming the missing looks
"""

SIDE = 300
"""Default short side of a tile in px."""
