#!/usr/bin/env bash
# Restart this host's kube-apiserver as the kubelet does it for any change of the manifest (an annotation), and print the seconds
# from the manifest's replacement until the new container's /readyz says ready. With the argument "clean" the annotation is taken away.
set -euo pipefail
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
next=/etc/kubernetes/.kube-apiserver.benchmark
running() { crictl ps --quiet --state=Running --name='^kube-apiserver$'; }
address=$(sed -n 's/.*--advertise-address=//p' "$manifest")
annotation="\n    nodewise.dev/benchmark: \"$RANDOM$RANDOM\""
[[ ${1:-} != clean ]] || annotation=
grep -v nodewise.dev/benchmark "$manifest" | sed "s|^  annotations:\$|&$annotation|" > "$next"
chmod 600 "$next"
old=$(running)
start=$(date +%s.%N)
mv "$next" "$manifest"
for ((i = 0; i < 1200; i++)); do
    new=$(running)
    if [[ -n $new && $new != "$old" ]] &&
        [[ $(kubectl --kubeconfig=/etc/kubernetes/admin.conf --server="https://$address:6443" get --raw /readyz 2> /dev/null) == ok ]]; then
        date +%s.%N | awk -v start="$start" '{ printf "restart took %.2f s\n", $1 - start }'
        exit 0
    fi
    sleep 0.1
done
echo "the API server did not come back within two minutes" >&2
exit 1
