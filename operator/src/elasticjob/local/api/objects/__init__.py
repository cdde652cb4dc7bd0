"""Storage of the local API server: versioned objects, garbage collection, resources, errors."""
