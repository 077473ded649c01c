"""The package and its process: fork, exit, signals, clock, randomness, stderr, threads."""
