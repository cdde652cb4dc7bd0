"""The local API server: HTTP, requests and responses."""
