#!/usr/bin/env bash
# A node's first process, in pid, mount, uts and ipc namespaces of its own: when it is killed,
# everything on the node dies with it.
#
#   node-init.sh NAME ADDRESS DIRECTORY HYPERKUBE CGROUP...
#
# DIRECTORY holds what outlives the node's death: containerd, kubelet, logs, and etc with its files.
set -euo pipefail
name=$1 address=$2 directory=$3 hyperkube=$4
shift 4

for cgroup in "$@"; do echo $$ >"$cgroup/cgroup.procs"; done
hostname "$name"
mount -t proc proc /proc

# Where the programs write goes to the node, so the machine's own directories stay untouched.
for path in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
mkdir -p /run/node /run/netns /var/lib/containerd /var/lib/kubelet /var/log/pods /var/log/containers
mount --bind "$directory/etc" /run/node
mount --bind "$directory/containerd" /var/lib/containerd
mount --bind "$directory/kubelet" /var/lib/kubelet
mount --bind "$directory/logs" /var/log/pods
mount --bind /run/node/resolv.conf "$(realpath /etc/resolv.conf)" || true

# The kubelet sets these for the whole machine. It finds what it wants, and writes to a file of ours.
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
