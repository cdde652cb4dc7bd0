#!/usr/bin/env bash
# Runs a shell script as root inside a root file system; its changes go to the directory UPPER. Runs
# in its own mount and pid namespace: its mounts end with it.
#
#   overlay-run.sh LOWER UPPER WORK ROOT SCRIPT [HOST=INSIDE...]    (INSIDE is a directory there)
set -euo pipefail
lower=$1 upper=$2 work=$3 root=$4 script=$5
shift 5
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
for device in null zero random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
# this machine's name servers and CAs, so that package registries are reachable
mount --bind "$(realpath /etc/resolv.conf)" "$root/etc/resolv.conf"
if [ -d /etc/ssl/certs ]; then mount --bind /etc/ssl/certs "$root/etc/ssl/certs"; fi
for pair in "$@"; do mount --bind "${pair%%=*}" "$root${pair#*=}"; done
exec chroot "$root" /bin/sh -ec "$script"
