"""How programs reach the helper. Standard library only and Python 3.9: the GIMP plug-in carries a copy of this folder."""
