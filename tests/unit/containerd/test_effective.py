# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.config import Settings, config_data, config_text
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.effective import check_config, find_problems
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

PAUSE = "registry.k8s.io/pause:3.10.2"
IMAGES = "io.containerd.cri.v1.images"
RUNTIME = "io.containerd.cri.v1.runtime"
# As containerd 2.4.2 and 2.0.13 log it.
MIGRATED = (
    'time="2026-11-25T10:09:42Z" level=warning msg="Configuration migrated from version 3, use `containerd config migrate` to avoid migration" t="7.451µs"\n'
)
UNKNOWN = (
    'time="2026-11-25T10:09:42Z" level=warning msg="Ignoring unknown key in TOML" column=2 '
    'error="strict mode: fields in the document are missing in the target struct" file=/root/plain.toml key=nonsense row=11\n'
)
UNKNOWN_OF_PLUGIN = (
    'time="2026-11-25T10:09:42Z" level=warning msg="Ignoring unknown key in TOML for plugin" '
    'error="strict mode: fields in the document are missing in the target struct" key="cni bin_dirs" plugin=io.containerd.cri.v1.runtime\n'
)
# An excerpt of `containerd config default`.
DEFAULT: dict[str, Any] = {
    "version": 4,
    "plugins": {
        IMAGES: {"pinned_images": {"sandbox": "registry.k8s.io/pause:3.8"}, "registry": {"config_path": ""}},
        RUNTIME: {
            "restrict_oom_score_adj": False,
            "containerd": {"runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "", "SystemdCgroup": False}}}},
        },
    },
}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and key in result else value
    return result


def problems(settings: Settings, log: str = MIGRATED, over: dict[str, Any] | None = None) -> list[str]:
    wanted = config_data(settings)
    return find_problems(wanted, merged(merged(DEFAULT, wanted), {"plugins": over or {}}), log, DEFAULT, settings)


def test_a_good_file() -> None:
    assert problems(Settings(PAUSE, restrict_oom_score_adj=True)) == []


def test_keys_that_containerd_passes_over() -> None:
    assert problems(Settings(PAUSE), MIGRATED + UNKNOWN + UNKNOWN_OF_PLUGIN) == [
        "containerd does not know the key nonsense",
        "containerd does not know the key cni.bin_dirs of io.containerd.cri.v1.runtime",
    ]


def test_a_plugin_that_does_not_exist() -> None:
    assert problems(Settings(PAUSE, extra={"plugins": {"io.containerd.none.v1.x": {}}})) == ['containerd has no plugin "io.containerd.none.v1.x"']


def test_an_option_that_runc_does_not_have() -> None:
    runtimes = {
        "mine": {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroop": True, "BinaryName": "/usr/bin/mine"}},
        "foreign": {"runtime_type": "io.example.v1", "options": {"anything": 1}},
    }
    assert problems(Settings(PAUSE, extra={"plugins": {RUNTIME: {"containerd": {"runtimes": runtimes}}}})) == ["the runtime mine has no option SystemdCgroop"]


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ({IMAGES: {"pinned_images": {"sandbox": "other:1"}}}, f"pinned_images.sandbox of {IMAGES} would be 'other:1', not '{PAUSE}'"),
        ({IMAGES: {"registry": {"config_path": ""}}}, f"registry.config_path of {IMAGES} would be '', not '/etc/containerd/certs.d'"),
        ({RUNTIME: {"restrict_oom_score_adj": True}}, f"restrict_oom_score_adj of {RUNTIME} would be True, not False"),
        (
            {RUNTIME: {"containerd": {"runtimes": {"runc": {"options": {"SystemdCgroup": False}}}}}},
            f"containerd.runtimes.runc.options.SystemdCgroup of {RUNTIME} would be False, not True",
        ),
        ({RUNTIME: "gone"}, f"restrict_oom_score_adj of {RUNTIME} would be None, not False"),
    ],
)
def test_other_values_in_effect(over: dict[str, Any], problem: str) -> None:
    assert problem in problems(Settings(PAUSE), over=over)


class TestCheckConfig:
    def containerd(self, tmp_path: Path, script: str) -> str:
        program = tmp_path / "containerd"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)

    def test_containerd_is_asked_about_the_very_text(self, tmp_path: Path) -> None:
        # Dumps what it is given, and as its defaults too: then every name is known.
        text = config_text(Settings(PAUSE))
        (tmp_path / "given").write_text(text)
        script = f'if [ "$1" = --config ]; then cmp "$2" {tmp_path}/given || exit 1; fi; cat {tmp_path}/given'
        check_config(text, Settings(PAUSE), self.containerd(tmp_path, script))
        with pytest.raises(NodewiseError, match=r"pinned_images\.sandbox .* would be .*pause:3\.10\.2', not 'other:1'.* Nothing was changed\. Remedy: "):
            check_config(text, Settings("other:1"), self.containerd(tmp_path, script))

    def test_a_text_that_containerd_cannot_read(self, tmp_path: Path) -> None:
        script = "echo 'level=warning msg=x' >&2; echo 'containerd: toml: cannot decode' >&2; exit 1"
        with pytest.raises(NodewiseError) as caught:
            check_config("", Settings(PAUSE), self.containerd(tmp_path, script))
        assert str(caught.value).startswith("containerd refuses the new config.toml: containerd: toml: cannot decode. Nothing was changed. Remedy: ")

    def test_containerd_is_not_installed(self) -> None:
        with pytest.raises(NodewiseError, match=r"/nonexistent/containerd is not installed on this host\. Remedy: run the artifacts role first"):
            check_config("", Settings(PAUSE), "/nonexistent/containerd")

    def test_a_program_for_another_machine(self, tmp_path: Path) -> None:
        program = tmp_path / "containerd"
        program.write_bytes(b"\x7fELF of something else")
        program.chmod(0o755)
        with pytest.raises(NodewiseError, match="does not run"):
            check_config("", Settings(PAUSE), str(program))
