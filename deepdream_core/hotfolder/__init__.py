"""The hot folder: dreams each picture that is dropped into it exactly once, and never loses a picture."""
