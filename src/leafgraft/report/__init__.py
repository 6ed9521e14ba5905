"""What a run shows to people: pictures and the model card."""
