"""Training a small VLA from nothing, on a simulator's expert: lessons, network with training-only heads, rounds."""
