#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring artifacts from the control machine onto a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_artifacts
short_description: Bring programs, manifests and images onto a host
description:
  - Compares what a host has with what M(nodewise.cluster.artifacts) obtained on the control machine, sends only what differs,
    verifies it on the host by its SHA-256 and puts it in place atomically. Images are loaded into containerd.
  - A file that is whole is not read again on the next run; its digest, size, time and inode are kept in C(/var/lib/nodewise/artifacts.json).
  - This module has an action plugin, which does the sending.
version_added: 1.0.0
author:
  - The nodewise authors (@nodewise)
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  artifacts:
    description:
      - The list that M(nodewise.cluster.artifacts) returned.
    type: list
    elements: dict
    required: true
  kind:
    description:
      - V(files) brings programs and manifests, V(images) brings container images, for which containerd must be running.
    type: str
    choices:
      - files
      - images
    required: true
  arch:
    description:
      - The host's architecture.
    type: str
    choices:
      - amd64
      - arm64
    required: true
  control_plane:
    description:
      - Whether the host is a control plane, which needs more than a worker.
    type: bool
    default: false
  bundle:
    description:
      - Where on the host the files lie that were sent. Set by the action plugin; without it nothing is changed.
    type: path
"""

EXAMPLES = r"""
---
- name: Bring the programs
  nodewise.cluster.host_artifacts:
    artifacts: "{{ hostvars[groups['control_plane'] | first]['artifacts_obtained'].artifacts }}"
    kind: files
    arch: "{{ ansible_facts['nodewise']['architecture'] }}"
    control_plane: "{{ 'control_plane' in group_names }}"
  register: files

- name: See what was installed
  ansible.builtin.assert:
    that:
      - files.missing | length == 0 or files is changed
"""

RETURN = r"""
---
missing:
  description:
    - What the host did not have, or not as it should be; paths for O(kind=files), full image names for O(kind=images).
    - When RV(ignore:changed) is true and it is not check mode, these are what was installed.
  returned: success
  type: list
  elements: str
  sample:
    - /usr/local/bin/kubelet
images_missing:
  description:
    - Full names of the images that O(kind=images) would bring; null if containerd cannot be asked, as on a bare host.
      If it is empty, there is no need to look again.
  returned: O(kind=files)
  type: list
  elements: str
  sample: []
sent:
  description: Number of bytes sent to the host.
  returned: when something was sent
  type: int
  sample: 104857600
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.artifacts.host import Files, HostFile, HostImage, drop_bundle, import_images, missing_images, present_images, select
from ..module_utils.errors import NodewiseError


def files(records: list[dict[str, Any]], bundle: str | None) -> tuple[list[str], list[str], list[str]]:
    """Compare and, with a bundle, install; return what was missing, and how it was and will be."""
    inventory = Files([HostFile(one["dest"], one["sha256"], one["size"], int(one["mode"], 8)) for one in records])
    missing = inventory.missing()
    before = [f"{one.dest} {inventory.state(one.dest)}" for one in missing]
    if missing and bundle:
        inventory.install(missing, bundle)
        inventory.save()
    return [one.dest for one in missing], before, [f"{one.dest} {one.state}" for one in missing]


def lacking(records: list[dict[str, Any]]) -> list[str] | None:
    """Return the images that are missing, or None if containerd cannot be asked."""
    try:
        present = present_images()
    except NodewiseError:
        return None
    return [one.image for one in missing_images([HostImage(one["image"], one["image_id"]) for one in records], present)]


def images(records: list[dict[str, Any]], bundle: str | None, check_mode: bool) -> tuple[list[str], list[str], list[str]]:
    """Compare and, with a bundle, load; return what was missing, and how it was and will be."""
    try:
        present = present_images()
    except NodewiseError:
        if not check_mode:
            raise
        # On a bare host there is no containerd to ask yet.
        present = {}
    missing = missing_images([HostImage(one["image"], one["image_id"]) for one in records], present)
    if missing and bundle:
        import_images(missing, bundle)
    return (
        [one.image for one in missing],
        [f"{one.image} {present.get(one.image, 'absent')}" for one in missing],
        [f"{one.image} {one.image_id or 'to be obtained'}" for one in missing],
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "artifacts": {"type": "list", "elements": "dict", "required": True},
            "kind": {"type": "str", "choices": ["files", "images"], "required": True},
            "arch": {"type": "str", "choices": ["amd64", "arm64"], "required": True},
            "control_plane": {"type": "bool", "default": False},
            "bundle": {"type": "path"},
        },
        supports_check_mode=True,
    )
    bundle = None if module.check_mode else module.params["bundle"]
    result: dict[str, Any] = {}

    def chosen(kind: str) -> list[dict[str, Any]]:
        return select(module.params["artifacts"], kind, module.params["arch"], module.params["control_plane"])

    try:
        records = chosen(module.params["kind"])
        if module.params["kind"] == "files":
            missing, before, after = files(records, bundle)
            result["images_missing"] = lacking(chosen("images"))
        else:
            missing, before, after = images(records, bundle, module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The artifacts cannot be put in place: {error}. Remedy: free some space on the host, or mend that path.")
    finally:
        drop_bundle(module.params["bundle"])
    diff = {
        "before_header": "artifacts",
        "after_header": "artifacts",
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }
    module.exit_json(changed=bool(missing), missing=missing, diff=diff, **result)


if __name__ == "__main__":
    main()
