"""The agent's client of the Kubernetes API: requests and watches on threads."""
