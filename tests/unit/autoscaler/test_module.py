# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's options are the daemon's configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.arguments import DAEMON
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.install import KUBECONFIG
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import Config, make_config
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.modules import autoscaler

from .conftest import config_values, group_values


def options(**changes: Any) -> dict[str, Any]:
    """Return options as Ansible hands them over: those of an example, and defaults."""
    documented = {**yaml.safe_load(autoscaler.DOCUMENTATION)["options"], **DAEMON}
    values = config_values(**changes)
    return {**{name: option.get("default") for name, option in documented.items()}, **values, "node_name": values["identity"]}


def test_options_become_the_configuration() -> None:
    found = autoscaler.configuration(options(retry_seconds=5.0, listen="10.0.0.1:9"))
    assert found == make_config(config_values(retry_seconds=5.0, listen="10.0.0.1:9", kubeconfig=KUBECONFIG))


def test_defaults_are_the_daemons_own() -> None:
    assert autoscaler.configuration(options()) == make_config(config_values(kubeconfig=KUBECONFIG))


def test_every_field_can_be_set_but_what_the_installation_decides() -> None:
    assert set(Config.__dataclass_fields__) - set(autoscaler.GIVEN) == {"groups", "identity", "kubeconfig", "token_file"}


def test_what_is_wrong_is_refused_before_anything_is_done() -> None:
    with pytest.raises(NodewiseError, match="groups.a.min is 2"):
        autoscaler.configuration(options(groups={"a": group_values(1, min=2)}))
