"""etcd and the programs of the control plane: flags, credentials, start."""
