"""What restarts mean: which count against maxRestarts, and which pods are blamed for them."""
