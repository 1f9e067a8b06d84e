# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.rehearse import host_flags, rehearse

# What kubelet 1.37.2 prints, shortened.
PASSED = 'E1125 10:03:15.145351   32528 run.go:72] "command failed" err="failed to run Kubelet: cannot exit on lock file contention: no lock file specified"'
REFUSED = 'E1125 10:03:28.004968     925 run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --network-plugin"'
INVALID = 'E1 1 run.go:72] "command failed" err="invalid configuration: maxPods (--max-pods) -1 must not be a negative number, path: &TypeMeta{Kind:,}"'
PANIC = (
    "panic: failed to merge global and in-flight KubeletConfiguration while setting defaults, error: unrecognized feature gate: Nope\n\ngoroutine 1 [running]:"
)


def kubelet(folder: Path, said: str) -> str:
    program = folder / "kubelet"
    (folder / "said").write_text(said)
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {folder}/args\n'
        f'for a; do case $a in --config=*) cp "${{a#--config=}}" {folder}/seen;; esac; done\n'
        f"cat {folder}/said >&2\n"
        "exit 1\n"
    )
    program.chmod(0o755)
    return str(program)


def test_a_configuration_that_the_kubelet_takes_passes(tmp_path: Path) -> None:
    flags = tmp_path / "kubeadm-flags.env"
    flags.write_text('KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --v=1"\n')
    rehearse(kubelet(tmp_path, PASSED), "maxPods: 5\n", [str(flags), str(tmp_path / "missing")])
    given = (tmp_path / "args").read_text().splitlines()
    assert given[:2] == ["--node-ip=10.0.0.1", "--v=1"]
    # The real folder of certificates must not be written to.
    assert [flag.split("=")[0] for flag in given[2:]] == ["--config", "--cert-dir", "--lock-file", "--exit-on-lock-contention"]
    assert "/nodewise-kubelet-" in given[3]
    assert (tmp_path / "seen").read_text() == "maxPods: 5\n"
    assert not Path(given[2].split("=")[1]).exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (REFUSED, "refuses the configuration: failed to parse kubelet flag: unknown flag: --network-plugin. Remedy: correct the kubelet_"),
        (
            PANIC,
            "while setting defaults, error: unrecognized feature gate: Nope.",
        ),
        (INVALID, "refuses the configuration: invalid configuration: maxPods (--max-pods) -1 must not be a negative number. Remedy"),
        ("Segmentation fault", "refuses the configuration: Segmentation fault."),
    ],
)
def test_what_the_kubelet_refuses_is_told_in_its_words(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        rehearse(kubelet(tmp_path, said), "", [])
    assert told in str(caught.value)


def test_a_missing_kubelet_is_told(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="cannot be run"):
        rehearse(str(tmp_path / "kubelet"), "", [])


def test_flags_are_split_as_systemd_splits_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text('# a comment\nKUBELET_KUBEADM_ARGS="--a=1 --b=x,y"\n\n')
    two.write_text("KUBELET_EXTRA_ARGS=\n")
    assert host_flags([str(one), str(two), str(tmp_path / "none")]) == ["--a=1", "--b=x,y"]
    two.write_text('KUBELET_EXTRA_ARGS="--a\n')
    with pytest.raises(NodewiseError, match="cannot be split into flags"):
        host_flags([str(two)])
