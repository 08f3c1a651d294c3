"""DeepDream as this user's background service: one interface to start, stop and query it on every system."""
