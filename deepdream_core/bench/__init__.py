"""Measurements: of the engine, of the helper, of a hot folder."""
