"""The local mode: an in-memory API server and a local kubelet on one Linux machine."""
