"""What is promised in figures, measured; see ``python -m benchmarks --help``."""
