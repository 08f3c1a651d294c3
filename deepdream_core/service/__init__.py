"""DeepDream as a background service of this user: one way to start, stop and question it, whatever looks after it."""
