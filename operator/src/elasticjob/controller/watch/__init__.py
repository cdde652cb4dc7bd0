"""What the API server delivers: kopf's watches, the cache of parsed objects."""
