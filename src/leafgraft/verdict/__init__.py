"""How good a classifier is, how sure that figure is, and what it may claim against another."""
