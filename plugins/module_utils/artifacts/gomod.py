# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source ``gomod``: everything compiled on the control machine from the Go module proxy.

Images are assembled from the compiled programs; those that need tools beside them
(kube-proxy, calico-node) stand on one small Debian layer that they share.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..errors import NodewiseError
from ..process import run
from . import oci
from .catalogue import OPERATOR_CRDS, OPERATOR_KINDS, Item
from .golang import GoBuilder, GoCommand, GoModule, c_compiler
from .store import file_lock

# Raised when the same inputs give another file, so that what an older release of this collection built is built anew.
RECIPE = "1"

# Calico's releases are not versions of a Go module; the proxy serves one commit of its repository, which is a release's.
CALICO = "github.com/projectcalico/calico"
CALICO_MODULES = {
    "3.28.5": GoModule(
        CALICO,
        "v1.11.0-cni-plugin.0.20250813170300-a0db560f0520",
        replace={
            # Its go.mod says ./api, which the proxy leaves out of the module; this is the commit that fits.
            "github.com/projectcalico/api": "v0.0.0-20240708202104-e3f70b269c2c",
            "k8s.io/kubernetes": "v1.29.6",
        },
    ),
}

CNI_FOLDERS = {
    "main": ("bridge", "dummy", "host-device", "ipvlan", "loopback", "macvlan", "ptp", "tap", "vlan"),
    "ipam": ("dhcp", "host-local", "static"),
    "meta": ("bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf"),
}

# The tools that kube-proxy (nftables, iptables, ipset, conntrack, kmod) and calico-node (also runit, iproute2, procps) run.
DEBIAN_SUITE = "bookworm"
DEBIAN_PACKAGES = ("runit", "iptables", "nftables", "ipset", "iproute2", "conntrack", "kmod", "procps", "ca-certificates")
# What none of these tools reads: documentation, the larger part of Perl (only the packages' installation needs it), character
# set tables. Without them the layer is half as large, and every host unpacks it.
DEBIAN_REMOVED = (
    *(f"usr/share/{name}" for name in ("doc", "man", "locale", "info", "lintian", "perl")),
    *(f"usr/lib/*-linux-gnu/{name}" for name in ("perl", "gconv")),
    "var/lib/dpkg/info",
)

PROMETHEUS_VERSION = "github.com/prometheus/common/version.Version"

CAP_NET_BIND_SERVICE = 1 << 10

# The process that holds a pod's namespaces: it waits, collects orphans (it is process 1 where a pod shares its
# process namespace), and goes when asked. It is C because one runs for each pod: 40 KiB resident, in Go it would be 2 MiB.
PAUSE_C = """
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

int main(void) {
    sigset_t set;
    int received;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    /* Blocked signals wait for sigwait; handled in one place, none can interrupt another. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return EXIT_FAILURE;
    for (;;) {
        if (sigwait(&set, &received) != 0) return EXIT_FAILURE;
        if (received != SIGCHLD) return EXIT_SUCCESS;
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
}
"""


def _kubernetes(version: str, name: str) -> GoCommand:
    major, minor, _rest = version.split(".", 2)
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "gitCommit": "unknown"}
    flags = tuple(f"-X k8s.io/{package}/version.{key}={value}" for key, value in values.items() for package in ("component-base", "client-go/pkg"))
    module = GoModule("k8s.io/kubernetes", f"v{version}", unversioned=f"v0.{version.split('.', 1)[1]}")
    return GoCommand(module, f"k8s.io/kubernetes/cmd/{name}", flags)


def _containerd(version: str, name: str) -> GoCommand:
    path = "github.com/containerd/containerd/v2"
    return GoCommand(GoModule(path, f"v{version}"), f"{path}/cmd/{name}", (f"-X {path}/version.Version=v{version}", f"-X {path}/version.Package={path}"))


def _runc(version: str) -> GoCommand:
    path = "github.com/opencontainers/runc"
    return GoCommand(GoModule(path, f"v{version}"), path, (f"-X main.version={version}",), ("seccomp", "netgo", "osusergo"), cgo=True)


def _crictl(version: str) -> GoCommand:
    path = "sigs.k8s.io/cri-tools"
    return GoCommand(GoModule(path, f"v{version}"), f"{path}/cmd/crictl", (f"-X {path}/pkg/version.Version=v{version}",))


def _cni(version: str, name: str) -> GoCommand:
    path = "github.com/containernetworking/plugins"
    for folder, names in CNI_FOLDERS.items():
        if name in names:
            flags = (f"-X {path}/pkg/utils/buildversion.BuildVersion=v{version}",)
            return GoCommand(GoModule(path, f"v{version}"), f"{path}/plugins/{folder}/{name}", flags)
    known = sorted(name for names in CNI_FOLDERS.values() for name in names)
    raise NodewiseError(f"There is no CNI plugin {name} to build.", f"artifacts_cni_plugins takes {', '.join(known)}.")


def _etcd(tag: str) -> GoCommand:
    path = "go.etcd.io/etcd/server/v3"
    return GoCommand(GoModule(path, f"v{tag.split('-')[0]}"), path)


def _coredns(version: str) -> GoCommand:
    path = "github.com/coredns/coredns"
    return GoCommand(GoModule(path, f"v{version}"), path, (f"-X {path}/coremain.GitCommit=unknown",))


PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"


def _prometheus_operator(version: str, name: str) -> GoCommand:
    return GoCommand(GoModule(PROMETHEUS_OPERATOR, f"v{version}"), f"{PROMETHEUS_OPERATOR}/cmd/{name}", (f"-X {PROMETHEUS_VERSION}={version}",))


def _prometheus(version: str) -> GoCommand:
    path = "github.com/prometheus/prometheus"
    try:
        major, minor, patch = (int(part) for part in version.split("."))
    except ValueError:
        raise NodewiseError(f"Prometheus {version} is no release that can be built.", "set artifacts_prometheus_version to one such as 3.16.0.") from None
    # Its Go module is v0: Prometheus 3.16.0 is v0.316.0. The module lacks the web interface's built files. Of the service
    # discoveries only Kubernetes' is linked (files and static targets always are); those of all clouds make three quarters of the program.
    tags = ("netgo", "remove_all_sd", "enable_kubernetes_sd")
    return GoCommand(GoModule(path, f"v0.{major}{minor:02}.{patch}"), f"{path}/cmd/prometheus", (f"-X {PROMETHEUS_VERSION}={version}",), tags)


def _metrics_server(version: str) -> GoCommand:
    path = "sigs.k8s.io/metrics-server"
    flags = (f"-X k8s.io/client-go/pkg/version.gitVersion=v{version}", f"-X k8s.io/component-base/version.gitVersion=v{version}")
    return GoCommand(GoModule(path, f"v{version}"), f"{path}/cmd/metrics-server", flags)


def calico_module(version: str) -> GoModule:
    """Return the Go module that holds a Calico release.

    Raises
    ------
    NodewiseError
        None does.
    """
    if version not in CALICO_MODULES:
        raise NodewiseError(
            f"Calico {version} cannot be built: the Go module proxy serves Calico {', '.join(CALICO_MODULES)} only.",
            f"set artifacts_calico_version to {', '.join(CALICO_MODULES)}, or artifacts_source to mirror or official.",
        )
    return CALICO_MODULES[version]


def _calico(version: str, package: str) -> GoCommand:
    variables = (
        "main.VERSION",
        f"{CALICO}/calicoctl/calicoctl/commands.VERSION",
        f"{CALICO}/calicoctl/calicoctl/commands/common.VERSION",
        f"{CALICO}/node/pkg/lifecycle/startup.VERSION",
        f"{CALICO}/felix/buildinfo.GitVersion",
    )
    return GoCommand(calico_module(version), f"{CALICO}/{package}", tuple(f"-X {variable}=v{version}" for variable in variables))


NOT_SERVED = ("cluster-autoscaler",)
"""Images that cannot be built from the module proxy, which refuses a module they need."""


class GomodSource:
    """Builds items into files.

    Parameters
    ----------
    work : Path
        Folder for wrapper modules and the shared Debian layer; kept between runs.
    debian_mirror : str
        Where the Debian packages of that layer come from.
    """

    name = "gomod"

    def __init__(self, work: Path, debian_mirror: str) -> None:
        self.work = work
        self.debian_mirror = debian_mirror
        work.mkdir(parents=True, exist_ok=True)

    def fingerprint(self, item: Item) -> str:
        """Return what, when it changes, makes a cached file of this source stale."""
        return f"recipe {RECIPE}"

    def verb(self) -> str:
        """Return what progress calls the work."""
        return "building"

    def fetch(self, item: Item, target: Path) -> None:
        """Build an item to a file.

        Raises
        ------
        NodewiseError
            It is not served, a tool is missing, or building fails.
        """
        # go build refuses to replace a file that is not a program, such as the rest of a killed run.
        target.unlink(missing_ok=True)
        builder = GoBuilder(self.work / "modules", item.arch or "amd64")
        if item.kind == "manifest":
            self._manifest(item, builder, target)
        elif item.kind == "bin":
            builder.build(self._command(item), target)
        else:
            with tempfile.TemporaryDirectory(dir=self.work, prefix="image-") as folder:
                self._image(item, builder, Path(folder), target)

    def _manifest(self, item: Item, builder: GoBuilder, target: Path) -> None:
        if item.name == OPERATOR_CRDS:
            folder = builder.directory(GoModule(PROMETHEUS_OPERATOR, f"v{item.version}")) / "example" / "prometheus-operator-crd"
            target.write_text("".join((folder / f"monitoring.coreos.com_{kind}.yaml").read_text() for kind in OPERATOR_KINDS))
        else:
            shutil.copyfile(builder.directory(calico_module(item.version)) / "manifests" / f"{item.name}.yaml", target)

    def _command(self, item: Item) -> GoCommand:
        version = item.version
        if item.name in ("kubeadm", "kubelet", "kubectl"):
            return _kubernetes(version, item.name)
        if item.name in ("containerd", "containerd-shim-runc-v2", "ctr"):
            return _containerd(version, item.name)
        if item.name == "runc":
            return _runc(version)
        if item.name == "crictl":
            return _crictl(version)
        if item.name == "calicoctl":
            return _calico(version, "calicoctl/calicoctl")
        return _cni(version, item.name)

    def _image(self, item: Item, builder: GoBuilder, folder: Path, target: Path) -> None:
        def program(command: GoCommand) -> Path:
            path = folder / command.package.rpartition("/")[2]
            builder.build(command, path)
            return path

        def write(entries: list[oci.Entry], process: oci.Process, base: oci.Layer | None = None) -> None:
            layer = oci.write_layer(entries, folder / "layer")
            oci.write_image(target, item.image, item.arch, [base, layer] if base else [layer], process)

        temporary = oci.Entry("tmp", mode=0o1777)
        version = item.version
        if item.name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            write([oci.Entry(f"usr/local/bin/{item.name}", program(_kubernetes(version, item.name))), temporary], oci.Process((f"/usr/local/bin/{item.name}",)))
        elif item.name == "kube-proxy":
            write(
                [oci.Entry("usr/local/bin/kube-proxy", program(_kubernetes(version, item.name)))],
                oci.Process(command=("/usr/local/bin/kube-proxy",)),
                self._debian(item.arch),
            )
        elif item.name == "etcd":
            write([oci.Entry("usr/local/bin/etcd", program(_etcd(version))), temporary], oci.Process(command=("etcd",)))
        elif item.name == "coredns":
            # Not root, so it may bind port 53 only by the file's own capability.
            entry = oci.Entry("coredns", program(_coredns(version)), capability=CAP_NET_BIND_SERVICE)
            write([entry], oci.Process(("/coredns",), user="65532:65532"))
        elif item.name == "prometheus-operator":
            write([oci.Entry("bin/operator", program(_prometheus_operator(version, "operator")))], oci.Process(("/bin/operator",), user="65534"))
        elif item.name == "prometheus-config-reloader":
            entry = oci.Entry(f"bin/{item.name}", program(_prometheus_operator(version, item.name)))
            write([entry], oci.Process((f"/bin/{item.name}",), user="65534"))
        elif item.name == "prometheus":
            write([oci.Entry("bin/prometheus", program(_prometheus(version))), temporary], oci.Process(("/bin/prometheus",), user="65534"))
        elif item.name == "metrics-server":
            write([oci.Entry("metrics-server", program(_metrics_server(version)))], oci.Process(("/metrics-server",), user="65534"))
        elif item.name == "pause":
            self._pause(item.arch, folder)
            write([oci.Entry("pause", folder / "pause")], oci.Process(("/pause",), user="65535:65535"))
        elif item.name == "calico-cni":
            write(
                [
                    oci.Entry("opt/cni/bin/calico", program(_calico(version, "cni-plugin/cmd/calico"))),
                    # One program that acts on the name it is called by.
                    oci.Entry("opt/cni/bin/calico-ipam", link="opt/cni/bin/calico", hard=True),
                    oci.Entry("opt/cni/bin/install", program(_calico(version, "cni-plugin/cmd/install"))),
                    temporary,
                ],
                oci.Process(command=("/opt/cni/bin/install",), path="/opt/cni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            )
        elif item.name == "calico-kube-controllers":
            entries = [oci.Entry(f"usr/bin/{name}", program(_calico(version, f"kube-controllers/cmd/{name}"))) for name in ("kube-controllers", "check-status")]
            writable = [oci.Entry(name, owner=999) for name in ("status", "profiles")]
            write([*entries, *writable, temporary], oci.Process(("/usr/bin/kube-controllers",), user="999"))
        elif item.name == "calico-node":
            services = builder.directory(calico_module(version)) / "node" / "filesystem"
            entries = [
                # The base has /sbin as a link to usr/sbin; a folder of that name in a layer would take its place.
                oci.Entry(str(Path("usr" if path.relative_to(services).parts[0] == "sbin" else ".") / path.relative_to(services)), path, _script_mode(path))
                for path in sorted(services.rglob("*"))
                if path.is_file()
            ]
            entries.append(oci.Entry("usr/bin/calico-node", program(_calico(version, "node/cmd/calico-node"))))
            entries.append(oci.Entry("usr/bin/mountns", program(_calico(version, "node/cmd/mountns"))))
            write(entries, oci.Process(command=("start_runit",), environment=("SVDIR=/etc/service/enabled",)), self._debian(item.arch))
        else:
            raise NodewiseError(f"The image {item.image} cannot be built from Go modules.", "set artifacts_source to mirror or official.")

    def _pause(self, arch: str, folder: Path) -> None:
        (folder / "pause.c").write_text(PAUSE_C)
        command = [c_compiler(arch), "-Os", "-Wall", "-Werror", "-static", "-s", "-o", "pause", "pause.c"]
        result = run(command, cwd=folder)
        if result.returncode:
            raise NodewiseError(f"Compiling pause for {arch} failed: {result.stderr.strip()}", "install libc6-dev for that architecture.")

    def _debian(self, arch: str) -> oci.Layer:
        """Return the shared layer, made once for each architecture."""
        path = self.work / f"debian-{DEBIAN_SUITE}-{arch}-{RECIPE}.tar.zst"
        record = path.with_suffix(".diff_id")
        with file_lock(f"{path}.lock"):
            if not record.exists():
                with tempfile.TemporaryDirectory(dir=self.work, prefix="debian-") as folder:
                    tar = Path(folder) / "base.tar"
                    self._mmdebstrap(arch, tar)
                    with tar.open("rb") as stream:
                        layer = oci.compress_tar(stream, Path(folder) / "base.tar.zst")
                    os.replace(layer.path, path)
                # Written last: its presence says that the layer is whole.
                record.write_text(f"{layer.digest} {layer.diff_id}")
            digest, diff_id = record.read_text().split()
        return oci.Layer(path, digest, diff_id)

    def _mmdebstrap(self, arch: str, tar: Path) -> None:
        command = [
            "mmdebstrap",
            "--variant=essential",
            f"--architectures={arch}",
            f"--include={','.join(DEBIAN_PACKAGES)}",
            "--dpkgopt=force-unsafe-io",
            # Unquoted, so that the shell expands the patterns.
            '--customize-hook=cd "$1" && rm -r ' + " ".join(DEBIAN_REMOVED),
            DEBIAN_SUITE,
            str(tar),
            self.debian_mirror,
        ]
        try:
            # Times in the tar are cut to this one, which makes its bytes depend on the packages alone.
            result = run(command, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
        except FileNotFoundError:
            raise NodewiseError(
                "The program mmdebstrap is missing on the control machine; the images of kube-proxy and calico-node stand on a Debian layer made by it.",
                "install the package mmdebstrap, or set artifacts_source to mirror or official.",
            ) from None
        if result.returncode:
            foreign = " For another architecture than its own the control machine also needs qemu-user-static." if "qemu" in result.stderr else ""
            text = "\n".join(line for line in result.stderr.splitlines() if not line.startswith("I:"))[-800:]
            raise NodewiseError(f"mmdebstrap for {arch} from {self.debian_mirror} failed: {text}{foreign}")


def _script_mode(path: Path) -> int:
    """Return the mode of a file of calico-node's services: module archives carry none, so scripts are known by their place."""
    return 0o755 if path.name in ("run", "rc.local") or path.parent.name == "sbin" else 0o644
