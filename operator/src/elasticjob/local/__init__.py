"""An in-memory API server and a stand-in for the kubelet: one Linux machine, no Kubernetes."""
