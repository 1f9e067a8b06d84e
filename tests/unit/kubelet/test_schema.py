# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet import schema

# The source is there on a machine that has built Kubernetes (artifacts source gomod).
SOURCES = sorted(Path.home().glob("go/pkg/mod/k8s.io/kubelet@v0.3[4-9].*/config/v1beta1/types.go"))


def _fields(path: Path) -> dict[str, str]:
    body = re.search(r"^type KubeletConfiguration struct {\n(.*?)^}", path.read_text(), re.MULTILINE | re.DOTALL)
    assert body is not None
    return dict((name, go) for go, name in re.findall(r'^\t[A-Z]\w* +(\S+) +`json:"(\w+)', body.group(1), re.MULTILINE))


@pytest.mark.skipif(not SOURCES, reason="no source of k8s.io/kubelet in the Go module cache")
def test_names_and_versions_are_those_of_the_source() -> None:
    for source in SOURCES:
        major, minor = (int(part) for part in source.parents[2].name.split("@v")[1].split(".")[:2])
        known = {name for name in schema.FIELDS if schema.SINCE.get(name, (1, 34)) <= (1, minor)}
        assert (major, known) == (0, set(_fields(source))), source


@pytest.mark.skipif(not SOURCES, reason="no source of k8s.io/kubelet in the Go module cache")
def test_types_are_those_of_the_source() -> None:
    kinds = {
        "bool": schema.BOOL,
        "int32": schema.INT,
        "int64": schema.INT,
        "float64": schema.FLOAT,
        "string": schema.STR,
        "metav1.Duration": schema.DURATION,
        "[]string": schema.STRS,
        "[]int32": schema.INTS,
        "map[string]string": schema.STR_MAP,
        "map[string]bool": schema.GATES,
        "map[string][]string": schema.STR_LISTS,
    }
    for name, go in _fields(SOURCES[-1]).items():
        plain = go.lstrip("*")
        if plain in kinds:
            assert schema.FIELDS[name] == kinds[plain], name
        else:
            assert isinstance(schema.FIELDS[name], (dict, list)) or name in schema.CHOICES, name


@pytest.mark.skipif(not SOURCES, reason="no source of k8s.io/kubelet in the Go module cache")
def test_fields_that_kubeadm_drops_at_zero_are_those_of_the_source() -> None:
    plain = {name for name, go in _fields(SOURCES[-1]).items() if go in ("bool", "int32", "int64")}
    assert plain == schema.UNSET_AT_ZERO


def test_every_rule_names_a_field() -> None:
    for name in [*schema.SINCE, *schema.RANGES, *schema.UNSET_AT_ZERO]:
        assert name in schema.FIELDS
    for path in schema.CHOICES:
        kind = schema.FIELDS
        for step in path.split("."):
            kind = kind[step]
        assert kind == schema.STR
