"""The path of one picture: from a file to the engine, here or in the helper, and back into a file."""
