#!/usr/bin/env bash
# A node's first process, in its own pid, mount, uts and ipc namespaces: when it is killed, the
# kernel kills all processes of the node.
#
#   node-init.sh NAME ADDRESS DIRECTORY HYPERKUBE CGROUP...
#
# DIRECTORY holds the files that stay when the node is killed: containerd, kubelet, logs, etc.
set -euo pipefail
name=$1 address=$2 directory=$3 hyperkube=$4
shift 4

for cgroup in "$@"; do echo $$ >"$cgroup/cgroup.procs"; done
hostname "$name"
mount -t proc proc /proc

# Directories that programs write to belong to the node, so the machine's stay unchanged.
for path in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
mkdir -p /run/node /run/netns /var/lib/containerd /var/lib/kubelet /var/log/pods /var/log/containers
mount --bind "$directory/etc" /run/node
mount --bind "$directory/containerd" /var/lib/containerd
mount --bind "$directory/kubelet" /var/lib/kubelet
mount --bind "$directory/logs" /var/log/pods
mount --bind /run/node/resolv.conf "$(realpath /etc/resolv.conf)" || true

# The kubelet sets these for the whole machine: it reads the values that it wants, and writes to
# these files instead.
mkdir /run/sysctl
while read -r key value; do
    echo "$value" >"/run/sysctl/$key"
    mount --bind "/run/sysctl/$key" "/proc/sys/${key//.//}"
done <<END
vm.overcommit_memory 1
vm.panic_on_oom 0
kernel.panic 10
kernel.panic_on_oops 1
kernel.keys.root_maxkeys 1000000
kernel.keys.root_maxbytes 25000000
END

# keep PROGRAM...: as systemd would
keep() {
    while :; do
        "$@" || true
        sleep 1
    done
}

keep containerd --config /run/node/containerd.toml --log-level warn &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.05; done
keep "$hyperkube" kube-proxy --config=/run/node/kube-proxy.json &
keep "$hyperkube" kubelet --config=/run/node/kubelet.json --kubeconfig=/run/node/kubeconfig \
    --hostname-override="$name" --node-ip="$address" --cert-dir=/var/lib/kubelet/pki
