"""The local node: a scheduler and kubelet that run pods as processes of this machine."""
