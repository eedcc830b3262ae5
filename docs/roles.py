"""Reads the reST roles of the docstrings, which Markdown does not know."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|exc|func|meth|ref):`(?:~?(?P<name>[\w.]+)|(?P<title>[^`<]+?) <[^`>]+>)`")


def _readable(role: re.Match[str]) -> str:
    name = role["name"]
    return f"`{name.rpartition('.')[2]}`" if name else role["title"]


class Roles(griffe.Extension):
    """Leaves of a role what a reader wants: the name, or the title."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of what was just read."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(_readable, obj.docstring.value)
