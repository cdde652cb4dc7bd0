"""What the local API server accepts: schemas, validation, defaults, by kind."""
