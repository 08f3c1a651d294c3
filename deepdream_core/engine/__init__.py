"""The engine: tensors and one settings object in, a generator of progress and a tensor out."""
