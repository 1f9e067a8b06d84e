# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one verification reads of a node, from both ends. Nothing here reads anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...cri.model import RuntimeReading
from ...node.model import CpuCounter, HostReading
from ..api import Reading
from ..result import FAIL, OK, UNKNOWN, WARN, Result

GROUP = "resources"
"""Group of all these checks: their names are C(resources.TOPIC) or C(resources.TOPIC.PART)."""

NEEDS_RIGHTS = (
    "the node's own credentials may not read this: give a token or kubeconfig that may get nodes, nodes/stats and nodes/configz, as playbook verify does"
)

_NOT_READ = Reading(error="not read")


@dataclass(frozen=True)
class Tolerances:
    """How far apart two readings of the same thing may be, and how long two ends may disagree.

    Parameters
    ----------
    runtime_seconds : float
        Between the runtime's own word and the Node's Ready: 5 s poll + 30 s threshold + 10 s status period of the kubelet.
    lease_warn_seconds, lease_fail_seconds : float
        Age of the lease: renewed every 10 s with a retry of at most 7 s; 40 s is its duration.
    clock_warn_seconds, clock_fail_seconds : float
        The C(Date) header has whole seconds; 10 s is one period of the kubelet's and the reporter's.
    capacity_memory_bytes : float
        Between the Node's capacity and the host's memory.
    memory_percent, memory_bytes : float
        The greater of both; the bytes are multiplied with the square root of the number of containers (for a node, of 16 at least).
    cpu_percent, cpu_millicores : float
        The greater of both.
    filesystem_percent, filesystem_bytes : float
        The greater of both, for what is available; percent of the capacity. The kubelet's figures are up to 10 s old.
    pressure_seconds : float
        From a crossed eviction threshold to the Node's condition: 10 s monitor + 10 s status period.
    sample_seconds : float
        Samples of usage that are further apart than this are not compared: metrics-server scrapes every 15 s what was measured every 10 to 15 s.
    certificate_warn_days, certificate_fail_days : float
        Until the serving certificate ends. Kubelets ask for the next one when a tenth to three tenths of its life are left; of a year, 36 days at the least.
    metrics_warn_seconds, metrics_fail_seconds : float
        Age of metrics-server's figures: two rounds of 15 s and the kubelet's 15 s, and one round that failed; metrics-server drops what is older than
        a few rounds.
    """

    runtime_seconds: float = 45
    lease_warn_seconds: float = 20
    lease_fail_seconds: float = 40
    clock_warn_seconds: float = 2
    clock_fail_seconds: float = 10
    capacity_memory_bytes: float = 1 << 20
    memory_percent: float = 5
    memory_bytes: float = 16 << 20
    cpu_percent: float = 10
    cpu_millicores: float = 50
    filesystem_percent: float = 1
    filesystem_bytes: float = 256 << 20
    pressure_seconds: float = 20
    sample_seconds: float = 30
    metrics_warn_seconds: float = 60
    metrics_fail_seconds: float = 120
    certificate_warn_days: float = 30
    certificate_fail_days: float = 7


@dataclass(frozen=True)
class Clock:
    """The host's clock against the API server's.

    Parameters
    ----------
    ahead : float
        Seconds that the host's clock is ahead, half of the round trip taken off.
    round_trip : float
        Seconds.
    """

    ahead: float
    round_trip: float


@dataclass(frozen=True)
class Attempt:
    """What the API server said to a write that was tried (and not carried out: dry run)."""

    status: int
    message: str


@dataclass(frozen=True)
class Look:
    """Both ends at one moment.

    Parameters
    ----------
    at : float
        Seconds since the epoch, of the host's clock.
    monotonic : float
        Seconds of a clock that is never set: for the time between two looks.
    host : HostReading
        What the host says.
    runtime : RuntimeReading or None
        What its container runtime says.
    runtime_error : str
        Why there is no C(runtime): grpcio is missing.
    pods_cpu : CpuCounter or None
        CPU time of the cgroup that all pods are in.
    own_memory : int
        Bytes that this verification itself takes on the host: others, who measured before it began, do not have them.
    node, lease, report : Reading
        Objects of the API server: Node, Lease and NodeReport.
    summary : Reading
        The kubelet's /stats/summary.
    metrics : Reading
        C(NodeMetrics) of metrics.k8s.io.
    api_service : Reading
        The C(APIService) of that API.
    """

    at: float
    monotonic: float
    host: HostReading
    runtime: RuntimeReading | None = None
    runtime_error: str = ""
    pods_cpu: CpuCounter | None = None
    own_memory: int = 0
    node: Reading = _NOT_READ
    lease: Reading = _NOT_READ
    report: Reading = _NOT_READ
    summary: Reading = _NOT_READ
    metrics: Reading = _NOT_READ
    api_service: Reading = _NOT_READ


@dataclass(frozen=True)
class NodeReading:
    """All that one verification reads.

    Parameters
    ----------
    name : str
        Name that the node shall have.
    identity : Reading
        User name that the API server sees behind the kubelet's own credentials.
    machine_id, system_uuid : Reading
        The host's.
    clock : Reading
        A :class:`Clock`.
    configz : Reading
        C(kubeletconfig) with which the kubelet works, its defaults filled in.
    config_file : Reading
        Its configuration file on disk, with the drop-ins of its configuration folder.
    gone_flags : Reading
        A line for each flag in its unit and environment files that it no longer has.
    kubepods : Reading
        Cgroup driver (C(systemd) or C(cgroupfs)) by the name of the cgroup in which the pods' processes are.
    serving : Reading
        When the certificate ends that the kubelet serves with, seconds since the epoch; or why its clients cannot trust it.
    reporter : Reading
        C(ActiveState) of the reporter's unit, or C(not-found).
    reporter_since : Reading
        When the reporter began to run, on the monotonic clock.
    reporter_config : Reading
        Digest of the reporter's configuration on disk, as a report names it.
    foreign : Reading
        :class:`Attempt`: a NodeReport with another name, created with the node's own credentials.
    foreign_status : Reading or None
        :class:`Attempt`: the status of another node's NodeReport, written likewise. None if no other node was named.
    looks : sequence of Look
        At least one, in time's order.
    reporter_required : bool
        Whether the absence of the reporter is a failure.
    """

    name: str
    looks: Sequence[Look]
    identity: Reading = _NOT_READ
    machine_id: Reading = _NOT_READ
    system_uuid: Reading = _NOT_READ
    clock: Reading = _NOT_READ
    configz: Reading = _NOT_READ
    config_file: Reading = _NOT_READ
    gone_flags: Reading = _NOT_READ
    kubepods: Reading = _NOT_READ
    serving: Reading = _NOT_READ
    reporter: Reading = _NOT_READ
    reporter_since: Reading = _NOT_READ
    reporter_config: Reading = _NOT_READ
    foreign: Reading = _NOT_READ
    foreign_status: Reading | None = None
    reporter_required: bool = True

    @property
    def last(self) -> Look:
        """The newest look."""
        return self.looks[-1]

    @property
    def server_now(self) -> float:
        """The API server's time of the last look, as far as it is known."""
        return self.last.at - (0.0 if self.clock.error else self.clock.value.ahead)

    def result(self, check: str, status: str, expected: str, observed: str, tolerance: str = "", sources: Sequence[str] = (), hint: str = "") -> Result:
        """Return a result of this node; the hint is left out of a success."""
        return Result(f"{GROUP}.{check}", self.name, status, expected, observed, "" if status == OK else hint, tolerance, tuple(sources))

    def unreadable(self, check: str, expected: str, *readings: Reading, sources: Sequence[str] = ()) -> Result | None:
        """Return an unknown for the first of the readings that could not be taken; None if all are there."""
        for reading in readings:
            if reading.error:
                hint = NEEDS_RIGHTS if reading.status in (401, 403) else "what could not be read must answer first"
                return self.result(check, UNKNOWN, expected, f"could not be read: {reading.error}", sources=sources, hint=hint)
        return None

    def no_runtime(self, check: str, expected: str, look: Look, sources: Sequence[str] = ()) -> Result | None:
        """Return an unknown if the runtime's containers could not be read in a look."""
        if look.runtime is None:
            hint = "install the reporter, which brings grpcio, or python3-grpcio and python3-protobuf"
            return self.result(check, UNKNOWN, expected, f"the container runtime could not be asked: {look.runtime_error}", sources=sources, hint=hint)
        if look.runtime.containers is None:
            reason = "; ".join(look.runtime.errors) or look.runtime.status.message or "no answer"
            return self.result(check, UNKNOWN, expected, f"the container runtime did not list its containers: {reason}", sources=sources, hint="crictl ps")
        return None


def graded(deviation: float, warn: float, fail: float) -> str:
    """Return ok up to the first limit, warn up to the second, fail above it; each limit itself is still good."""
    return FAIL if deviation > fail else WARN if deviation > warn else OK


def mebibytes(value: float) -> str:
    """Return bytes for people."""
    return f"{value / (1 << 20):.1f}Mi"


def millicores(cores: float) -> str:
    """Return cores for people."""
    return f"{cores * 1000:.0f}m"
