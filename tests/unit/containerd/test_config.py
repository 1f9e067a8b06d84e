# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.config import (
    Mirror,
    MirrorHost,
    Settings,
    check_mirrors,
    config_data,
    config_text,
    crictl_text,
    hosts_text,
    proxy_text,
    unit_text,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

PAUSE = "registry.k8s.io/pause:3.10.2"
IMAGES = "io.containerd.cri.v1.images"
RUNTIME = "io.containerd.cri.v1.runtime"
CRI = "io.containerd.grpc.v1.cri"


def plugins(settings: Settings) -> Any:
    return tomllib.loads(config_text(settings))["plugins"]


def test_the_file_is_version_3_with_the_names_of_containerd_2() -> None:
    data = tomllib.loads(config_text(Settings(PAUSE)))
    assert data["version"] == 3
    assert data["plugins"][IMAGES] == {"pinned_images": {"sandbox": PAUSE}, "registry": {"config_path": "/etc/containerd/certs.d"}}
    assert data["plugins"][RUNTIME]["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": True}


def test_containerd_ends_if_its_cri_plugin_cannot_start() -> None:
    assert config_data(Settings(PAUSE))["required_plugins"] == [CRI]


@pytest.mark.parametrize("value", [True, False])
def test_settings_reach_the_file(value: bool) -> None:
    found = plugins(Settings(PAUSE, systemd_cgroup=value, restrict_oom_score_adj=value))[RUNTIME]
    assert found["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is value
    assert found["restrict_oom_score_adj"] is value


def test_extra_is_merged_over_ours() -> None:
    extra = {
        "oom_score": -500,
        "plugins": {
            IMAGES: {"max_concurrent_downloads": 10},
            RUNTIME: {"containerd": {"runtimes": {"other": {"runtime_type": "io.example.v1"}}}},
            CRI: {"stream_server_address": "::1"},
        },
    }
    data = tomllib.loads(config_text(Settings(PAUSE, extra=extra)))
    assert data["oom_score"] == -500
    assert data["plugins"][IMAGES]["max_concurrent_downloads"] == 10
    assert data["plugins"][IMAGES]["pinned_images"] == {"sandbox": PAUSE}
    assert sorted(data["plugins"][RUNTIME]["containerd"]["runtimes"]) == ["other", "runc"]
    assert data["plugins"][CRI] == {"stream_server_address": "::1"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"plugins": {CRI: {"sandbox_image": "x"}}}, rf'plugins\."{CRI}"\.sandbox_image is now containerd_sandbox_image'),
        ({"plugins": {CRI: {"systemd_cgroup": True}}}, r"systemd_cgroup is now nodewise_cgroup_driver"),
        ({"plugins": {CRI: {"registry": {}}}}, r"registry is now containerd_registry_mirrors"),
        ({"plugins": {CRI: {"max_concurrent_downloads": 9}}}, rf'max_concurrent_downloads is now plugins\."{IMAGES}"\.max_concurrent_downloads'),
        ({"plugins": {CRI: {"containerd": {"snapshotter": "zfs"}}}}, rf'containerd is now plugins\."{RUNTIME}"\.containerd'),
        ({"plugins": {CRI: {"cni": {"bin_dir": "/x"}}}}, rf'cni is now plugins\."{RUNTIME}"\.cni'),
        ({"plugins": {"cri": {"sandbox_image": "x"}}}, r"plugins\.cri is a name of schema version 1"),
        ({"plugins": {IMAGES: {"registry": {"mirrors": {}}}}}, r"use containerd_registry_mirrors"),
        ({"plugins": {IMAGES: {"registry": {"auths": {}}}}}, r"use imagePullSecrets"),
        ({"version": 2}, r"version is 3 and cannot be chosen"),
        ({"plugins": ["x"]}, r"plugins is \['x'\], not a mapping"),
        ({"plugins": {IMAGES: "x"}}, rf"plugins\.{IMAGES} has to be a mapping, not 'x'"),
        ({"required_plugins": {"a": 1}}, r"required_plugins has to be a plain value"),
        ({"root": None}, r"root is None, which TOML cannot say"),
    ],
)
def test_old_names_and_wrong_kinds_are_refused(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        config_text(Settings(PAUSE, extra=extra))


def test_all_old_names_are_told_at_once() -> None:
    with pytest.raises(NodewiseError) as caught:
        config_data(Settings(PAUSE, extra={"version": 2, "plugins": {CRI: {"sandbox_image": "x", "cni": {}}}}))
    assert str(caught.value).count(";") == 2


class TestMirrors:
    def test_hosts_toml(self) -> None:
        mirror = Mirror(
            "docker.io",
            [MirrorHost("https://b.example"), MirrorHost("http://a.example:5000/x", ["pull"], "/etc/ca.pem", skip_verify=True, override_path=True)],
            "https://registry-1.docker.io",
        )
        text = hosts_text(mirror)
        data = tomllib.loads(text)
        assert data["server"] == "https://registry-1.docker.io"
        assert list(data["host"]) == ["https://b.example", "http://a.example:5000/x"]
        assert data["host"]["https://b.example"] == {"capabilities": ["pull", "resolve"]}
        assert data["host"]["http://a.example:5000/x"] == {
            "capabilities": ["pull"],
            "ca": "/etc/ca.pem",
            "skip_verify": True,
            "override_path": True,
        }

    def test_only_a_server(self) -> None:
        assert tomllib.loads(hosts_text(Mirror("docker.io", server="https://m.example"))) == {"server": "https://m.example"}

    @pytest.mark.parametrize("registry", ["docker.io", "localhost:5000", "_default", "10.0.0.1:443"])
    def test_registries(self, registry: str) -> None:
        check_mirrors([Mirror(registry, [MirrorHost("https://m.example")])])

    @pytest.mark.parametrize(
        ("mirrors", "message"),
        [
            ([Mirror("docker.io/library", server="https://x")], "'docker.io/library' is no registry"),
            ([Mirror("..", server="https://x")], r"'\.\.' is no registry"),
            ([Mirror("https://docker.io", server="https://x")], "is no registry"),
            ([Mirror("a", [MirrorHost("m.example")])], "'m.example' of a does not begin with http:// or https://"),
            ([Mirror("a", server="m.example")], "'m.example' of a does not begin"),
            ([Mirror("a")], "a has neither hosts nor a server"),
            ([Mirror("a", server="https://x"), Mirror("a", server="https://y")], "'a' is there twice"),
        ],
    )
    def test_refused(self, mirrors: list[Mirror], message: str) -> None:
        with pytest.raises(NodewiseError, match=f"containerd_registry_mirrors: .*{message}"):
            check_mirrors(mirrors)


class TestProxy:
    def test_none(self) -> None:
        assert proxy_text(Settings(PAUSE, no_proxy=["a"])) is None

    def test_values_are_quoted_for_systemd(self) -> None:
        text = proxy_text(Settings(PAUSE, https_proxy='http://u:p%40"$\\`@proxy:3128', no_proxy=["localhost", "10.0.0.0/8"]))
        assert text is not None
        assert text.splitlines()[1:] == ['HTTPS_PROXY="http://u:p%40\\"\\$\\\\\\`@proxy:3128"', 'NO_PROXY="localhost,10.0.0.0/8"']

    def test_it_is_not_in_the_unit_which_everyone_may_read(self) -> None:
        assert "\nEnvironmentFile=-/etc/containerd/proxy.env\n" in unit_text("/etc/containerd/proxy.env")


def test_a_stop_of_the_unit_leaves_containers_alone() -> None:
    lines = unit_text("/x").splitlines()
    assert {"Type=notify", "Delegate=yes", "KillMode=process", "ExecStart=/usr/local/bin/containerd"} <= set(lines)


def test_crictl() -> None:
    assert crictl_text("unix:///x").splitlines()[1:] == ["runtime-endpoint: unix:///x", "image-endpoint: unix:///x", "timeout: 10"]


REGISTRY = yaml.safe_load((Path(__file__).parents[3] / "roles" / "containerd" / "vars" / "main.yml").read_text())["__containerd_registry"]


@pytest.mark.parametrize("repository", ["", None, "registry.example.org/k8s"])
@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_the_sandbox_image_comes_from_the_control_planes_repository(repository: str | None, host: str) -> None:
    shown = {} if repository is None else {"kubeadm_control_plane_image_repository": repository}
    variables = {"hostvars": {"cp1": shown, "w1": {}}, "groups": {"control_plane": ["cp1"], "workers": ["w1"]}, "inventory_hostname": host}
    assert jinja2.Environment().from_string(REGISTRY).render(variables).strip() == (repository or "registry.k8s.io")


def test_the_sandbox_image_of_a_host_without_a_control_plane_is_the_publishers() -> None:
    assert jinja2.Environment().from_string(REGISTRY).render(hostvars={"h": {}}, groups={}, inventory_hostname="h").strip() == "registry.k8s.io"
