"""`deepdream doctor`: small looks at everything the program needs, and what mends what is not well."""
