#!/usr/bin/env bash
# Unpacks the images of an OCI archive (standard input) into a containerd root, by a private
# containerd. Runs as the first process of a pid, mount and network namespace, which end with it.
#
#   store-import.sh ROOT <IMAGES.tar
set -euo pipefail
root=$1
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
cat >/run/containerd.toml <<END
version = 2
root = "$root"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
END
containerd --config /run/containerd.toml --log-level error >&2 &
containerd=$!
for _ in {1..200}; do
    [ -S /run/containerd/containerd.sock ] && break
    sleep 0.05
done
ctr --namespace k8s.io images import -
# the label by which the kubelet's side of containerd knows its images
for name in $(ctr --namespace k8s.io images ls -q); do
    ctr --namespace k8s.io images label "$name" io.cri-containerd.image=managed
done
kill "$containerd"
wait "$containerd" || true
