"""DeepDream on VGG19: engine, photographs, settings and command line."""

__version__ = "0.1.0"
