"""PyTorch's elastic agent, native to Kubernetes."""
