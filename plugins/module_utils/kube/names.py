# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes lets a name, a key or a label's value be (k8s.io/apimachinery 0.37, pkg/util/validation)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def is_dns_label(text: str) -> bool:
    """Return whether a text is an RFC 1123 label, which the name of a namespace must be."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Return whether a text is an RFC 1123 subdomain of at most 253 characters, which most objects' names must be."""
    return len(text) <= 253 and all(is_dns_label(part) for part in text.split("."))


def key_problem(key: str) -> str:
    """Return the rule that a key ([prefix/]name, of a label, taint or resource) breaks; empty if it breaks none."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        return "what is before the '/' must be a DNS name of lower-case letters, digits, '-' and '.', at most 253 characters"
    if not _NAME.fullmatch(name):
        return "a name has 1 to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit"
    return ""


def value_problem(value: object) -> str:
    """Return the rule that a value of a label or taint breaks; empty if it breaks none."""
    if not isinstance(value, str):
        return "a value is text, so a number, true and false need quotes"
    if value and not _NAME.fullmatch(value):
        return "a value is empty, or has at most 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit"
    return ""


def in_domain(key: str, domains: Iterable[str]) -> bool:
    """Return whether the prefix of a key is one of the domains or below one."""
    prefix = key.rpartition("/")[0]
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in domains)
