"""Leader election: which of several operators works."""
