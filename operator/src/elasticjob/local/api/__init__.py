"""The local API server: HTTP, requests and their answers."""
