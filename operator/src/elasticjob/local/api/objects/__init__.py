"""Storage of the local API server: versioned objects, owners, resources, errors."""
