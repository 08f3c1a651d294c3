"""`deepdream doctor`: small looks at everything the program needs, and repairs for what is wrong."""
