#!/usr/bin/env bash
# The floor: what a plain script needs for the same cluster. No checks, no sleeps, no idempotence.
# usage: floor.sh STAGE CONTROL_PLANE WORKER...   (addresses; SSH options in $SSH_OPTIONS)
# STAGE holds all/ and control_plane/, both laid out as the root of a host, and their images/.
set -euo pipefail
stage=$1 control_plane=$2
shift 2
workers=("$@")
# shellcheck disable=SC2206
ssh=(ssh -q ${SSH_OPTIONS})
started=$(date +%s.%N)
mark() { printf 'floor %6.1f s  %s\n' "$(echo "$(date +%s.%N) - ${started}" | bc)" "$1"; }

# A background job that failed must fail the script: plain `wait` forgets its status.
jobs=()
join() {
    for job in "${jobs[@]}"; do wait "${job}"; done
    jobs=()
}

prepare() { # HOST KINDS...
    local host=$1
    shift
    for kind in "$@"; do
        tar -C "${stage}/${kind}" --dereference -cf - . | "${ssh[@]}" "root@${host}" "tar -C / --no-overwrite-dir -xf -"
    done
    "${ssh[@]}" "root@${host}" bash -euo pipefail <<'REMOTE'
modprobe -qa overlay br_netfilter || true
sysctl -qw net.ipv4.ip_forward=1
systemctl daemon-reload
systemctl -q enable --now containerd
systemctl -q enable kubelet
for archive in /floor/images/*; do ctr -n k8s.io images import --local "${archive}" >/dev/null; done
rm -rf /floor
REMOTE
}

for worker in "${workers[@]}"; do prepare "${worker}" all & jobs+=($!); done
prepare "${control_plane}" all control_plane & jobs+=($!)
join
mark "binaries and images on every host"

"${ssh[@]}" "root@${control_plane}" kubeadm init --config /etc/kubernetes/floor.conf \
    --ignore-preflight-errors="${IGNORE_PREFLIGHT}" >/dev/null
mark "kubeadm init"
kubectl=("${ssh[@]}" "root@${control_plane}" kubectl --kubeconfig=/etc/kubernetes/admin.conf)
"${kubectl[@]}" apply --server-side -f /etc/kubernetes/floor-calico.yaml >/dev/null
command=$("${ssh[@]}" "root@${control_plane}" kubeadm token create --print-join-command)
for worker in "${workers[@]}"; do
    "${ssh[@]}" "root@${worker}" "${command} --cri-socket=unix:///run/containerd/containerd.sock \
        --ignore-preflight-errors=${IGNORE_PREFLIGHT}" >/dev/null & jobs+=($!)
done
join
mark "workers joined"
"${kubectl[@]}" wait --for=condition=Ready nodes --all --timeout=300s >/dev/null
mark "nodes Ready"
"${kubectl[@]}" -n kube-system rollout status daemonset/calico-node --timeout=300s >/dev/null
"${kubectl[@]}" -n kube-system wait --for=condition=Ready pods --all --timeout=300s >/dev/null
mark "pods Ready"
