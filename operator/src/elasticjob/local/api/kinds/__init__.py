"""Schemas, validation and defaults of the local API server, by kind."""
