# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling systemd how the daemon is (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Sends states to the service manager; does nothing where there is none.

    Parameters
    ----------
    address : str
        C(NOTIFY_SOCKET): a path, or an abstract name with a leading C(@); empty for none.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address

    def send(self, **state: str) -> None:
        """Send states, for example C(READY="1", STATUS="...")."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{name}={value}" for name, value in state.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1)
            try:
                channel.sendto(message.encode(), address)
            except OSError:
                # The manager is being restarted: it does not miss a state, and a watchdog's next one comes soon.
                return

    def reloading(self) -> None:
        """Say that the configuration is being read anew; READY ends it."""
        # MONOTONIC_USEC is wanted by Type=notify-reload and ignored by others.
        self.send(RELOADING="1", MONOTONIC_USEC=str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
