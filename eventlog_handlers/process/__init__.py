"""What the process does to us and for us: fork, exit, signals, clock, randomness, stderr."""
