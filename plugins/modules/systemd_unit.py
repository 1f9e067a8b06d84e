#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_unit
short_description: A systemd unit together with the files it reads
version_added: 1.0.0
description:
  - Writes the unit file, its drop-ins and its configuration, reloads systemd where that is needed, enables the unit,
    and starts or restarts it, all in one task.
  - Whether a running unit owes a restart is read from the host. It does if one of its files changed after its process
    started, if systemd has an older version of its unit files loaded, or if an earlier run ended between writing and restarting.
    A run that was killed at any point is therefore repaired by the next one.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  name:
    description: The unit. V(.service) is added to a bare name.
    type: str
    required: true
  files:
    description:
      - Files that shall be there with just this content. Each is replaced atomically, and only if it differs.
      - A path below a folder of systemd (V(/etc/systemd/) and the like) makes systemd reload its units.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. Missing folders are made.
        type: path
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permission bits, octal.
        type: str
        default: "0644"
      restart:
        description: Whether the unit reads the file only when it starts.
        type: bool
        default: true
      validate:
        description:
          - A command, as a list, that must succeed on the new text before anything is changed.
            V(%s) stands for the path of a copy with the same base name.
          - In check mode it is passed over if the program is not installed yet.
        type: list
        elements: str
        default: []
  absent:
    description: Files that shall not be there. Removing one restarts the unit.
    type: list
    elements: path
    default: []
  enabled:
    description: Whether the unit starts at boot.
    type: bool
    default: true
  state:
    description:
      - V(started) starts the unit, and restarts it if it owes a restart. The module waits as long as the unit's type lets it,
        and fails with the unit's last log lines if it is not active then.
      - V(stopped) stops it.
      - V(unchanged) does neither, but a unit that runs and owes a restart is restarted.
    type: str
    choices: [started, stopped, unchanged]
    default: started
  restart_paths:
    description:
      - Files that this task does not write, such as the program itself. A unit that started before one of them changed is restarted.
      - Files that do not exist are passed over.
    type: list
    elements: path
    default: []
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Run a daemon of ours
  nodewise.cluster.systemd_unit:
    name: example
    files:
      - path: /etc/systemd/system/example.service
        content: |
          [Unit]
          Description=An example

          [Service]
          ExecStart=/usr/local/bin/example --config /etc/example.conf

          [Install]
          WantedBy=multi-user.target
        validate: [systemd-analyze, verify, "%s"]
      - path: /etc/example.conf
        content: "answer = 42\n"
        mode: "0600"
    restart_paths:
      - /usr/local/bin/example
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["write /etc/example.conf", "restart example.service"]
reasons:
  description: Why the unit owed a restart; empty if it did not.
  returned: success
  type: list
  elements: str
  sample: ["/usr/local/bin/example changed 12.5 s after the unit's start"]
unit:
  description: The unit, as it is afterwards (in check mode as it is now).
  returned: success
  type: dict
  sample: {"active": "active", "sub": "running", "main_pid": 4711}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.systemd.systemctl import Systemd
from ..module_utils.systemd.unit import ManagedFile, UnitSpec, apply_unit, plan_unit, validate_files


def main() -> None:
    """Run the module."""
    file_options = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "restart": {"type": "bool", "default": True},
        "validate": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_options},
            "absent": {"type": "list", "elements": "path", "default": []},
            "enabled": {"type": "bool", "default": True},
            "state": {"type": "str", "choices": ["started", "stopped", "unchanged"], "default": "started"},
            "restart_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    options = module.params
    systemd = Systemd()
    try:
        present = [ManagedFile(**{**item, "mode": _octal(item["path"], item["mode"])}) for item in options["files"]]
        spec = UnitSpec(
            name=options["name"],
            files=present + [ManagedFile(path, None) for path in options["absent"]],
            enabled=options["enabled"],
            state=options["state"],
            restart_paths=options["restart_paths"],
        )
        plan = plan_unit(spec, systemd)
        validate_files(spec.files, [change.path for change in plan.changes], module.check_mode)
        status = plan.status if module.check_mode or not plan.changed else apply_unit(plan, systemd)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=plan.changed,
        actions=plan.actions(),
        reasons=plan.reasons,
        unit={"active": status.active, "sub": status.sub, "main_pid": status.main_pid},
        diff=plan.diff(),
    )


def _octal(path: str, text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise NodewiseError(f"The mode {text!r} of {path} is not an octal number.", 'write it in quotes, for example "0644"') from error


if __name__ == "__main__":
    main()
