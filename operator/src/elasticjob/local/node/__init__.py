"""The local node: a stand-in for scheduler and kubelet that runs pods as processes."""
