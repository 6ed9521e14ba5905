"""The network cut where it stops learning: what is frozen is computed once and kept, the rest is trained."""
