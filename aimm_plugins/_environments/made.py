"""Where environments are that `env sync` has made, and whether they are what a conf asks for.

An environment is a folder of its own that is never changed once it is whole. A link with the digest
of what was asked for leads to it, so that making one again is a swap of the link.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from glob import escape as glob_escape
from glob import glob
from typing import NamedTuple

from aimm_plugins._config.values import Config, EnvironmentRules
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._environments.site import NoEnvironmentError
from aimm_plugins._system.files import opener, readable


class Wanted(NamedTuple):
    """What a conf asks to be made.

    Attributes:
        folder: Where environments are.
        lock: A file of what is installed into it.
        python: Version or path of the interpreter.
        conf: The file that asks for it, where other confs share the folder.
        own: How this package is installed into it: arguments of pip.
        command: What makes it.
    """

    name: str
    folder: str
    conf: str | None
    requirements: tuple[str, ...]
    lock: str | None
    python: str
    own: tuple[str, ...]
    command: str

    @property
    def link(self) -> str:
        """Leads to the environment, once it was made."""
        import hashlib  # an environment at a `path` does without

        content = "" if self.lock is None else "".join(_lists(self.lock))
        asked = [self.requirements, content, self.python, self.own, self._home(content)]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        return os.path.join(self.folder, f"{self.name}-{digest[:12]}")

    def _home(self, content: str) -> str:
        """The folder of the list if the list names paths in it: these differ by folder."""
        folder = os.path.dirname(self.lock or "")
        words = (word.strip("\"',") for word in content.split() if os.sep in word)
        paths = (os.path.join(folder, word) for word in words if not os.path.isabs(word))
        return folder if any(map(os.path.exists, paths)) else ""

    @property
    def links(self) -> list[str]:
        """Those of this name, whatever was asked for, without what is being made."""
        pattern = re.compile(re.escape(self.name) + "-[0-9a-f]{12}")
        found = glob(os.path.join(glob_escape(self.folder), f"{glob_escape(self.name)}-*"))
        return sorted(path for path in found if pattern.fullmatch(os.path.basename(path)))

    @property
    def own_links(self) -> list[str]:
        """Those of them that no other conf, which is still there, has had made."""
        by = {link: readable(os.path.join(link, CONF)) or b"" for link in self.links}
        own = os.fsencode(self.conf or "")
        return [link for link, conf in by.items() if conf == own or not os.path.isfile(conf)]

    @property
    def root(self) -> str:
        """Where the environment is; `NoEnvironmentError` says what makes it."""
        if os.path.isdir(self.link):
            return os.path.realpath(self.link)
        what = "is out of date" if self.own_links else "was not made yet"
        raise NoEnvironmentError(f"it {what}: {self.command}", f"Run `{self.command}`")


CONF = "aimm-plugins.conf"
"""A file in an environment that has the path of the conf it was made for."""


def _lists(lock: str) -> Iterator[str]:
    """The text of a list of requirements, and of those that it includes as pip does."""
    files = [lock]
    for file in files:
        try:
            with open(file, "rb", opener=opener) as stream:
                text = stream.read().decode(errors="replace")
        except OSError as error:
            why = f"its lock cannot be read: {error}"
            raise NoEnvironmentError(why, "Correct its lock") from error
        yield text
        names = [name for name in _INCLUDED.findall(text) if "://" not in name]
        paths = [os.path.normpath(os.path.join(file, os.pardir, name)) for name in names]
        files += [path for path in dict.fromkeys(paths) if path not in files]


_INCLUDED = re.compile(r"^\s*(?:-[rc]|--requirement|--constraint)[ \t=]*(\S+)", re.MULTILINE)


def environment_path(config: Config, rules: EnvironmentRules) -> str:
    """Where an environment is that a conf declares; as `Wanted.root`."""
    return wanted(config, rules).root if rules.path is None else config.resolved(rules.path)


def wanted(config: Config, rules: EnvironmentRules) -> Wanted:
    """What a conf asks to be made; `rules` has no path."""
    conf = f" --conf {shlex.quote(config.source)}" if config.source is not None else ""
    return Wanted(
        name=rules.name,
        folder=environments_folder(config),
        conf=None
        if config.environments_folder
        else config.source and os.path.abspath(config.source),
        requirements=rules.requirements,
        lock=None if rules.lock is None else os.path.abspath(config.resolved(rules.lock)),
        python=_python(config, rules),
        own=_own_requirement(),
        command=f"aimm-plugins env sync {rules.name}{conf}",
    )


def environments_folder(config: Config) -> str:
    if config.environments_folder is not None:
        return os.path.abspath(config.resolved(config.environments_folder))
    if sys.platform == "darwin":
        data = os.path.expanduser("~/Library/Application Support")
    else:
        data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    if not os.path.isabs(data):  # a user of a container may have no home
        problem = f"this user's data folder is {data}, which differs by working directory"
        expected = "environments_folder in the conf"
        raise config.error(problem, ("environments",), expected=expected, key=True)
    return os.path.join(data, "aimm-plugins", "environments")


def _python(config: Config, rules: EnvironmentRules) -> str:
    if rules.python is None:
        # Of a venv the interpreter that it was made with, which outlives it.
        return str(getattr(sys, "_base_executable", sys.executable))
    if os.sep not in rules.python:
        return rules.python
    return os.path.abspath(config.resolved(rules.python))


@cache
def _own_requirement() -> tuple[str, ...]:
    """What installs this very package: from an index, or from where it was installed from here."""
    own = scan().find("aimm-plugins")
    if own is None:
        return ("aimm-plugins",)
    if own.editable_root is not None:
        return ("-e", own.editable_root)
    return (f"aimm-plugins @ {_url(own)}",) if _url(own) else (f"aimm-plugins=={own.version}",)


def other_version(installed: Scan, python: str) -> str:
    """A line about another version of this package in an environment; empty for the same one."""
    here, there = (found.find("aimm-plugins") for found in (scan(), installed))
    if here is None or there is None or here.version == there.version:
        return ""
    return (
        f"It has aimm-plugins {there.version}, and the host {here.version}; they may not fit each "
        f"other: {python} -m pip install aimm-plugins=={here.version}"
    )


def _url(own: Distribution) -> str | None:
    """Where it was installed from, where that was no index and is still there."""
    origin = own.direct_url
    with suppress(KeyError, TypeError):
        url = str(origin["url"])
        if "vcs_info" in origin:
            return f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
        if not url.startswith("file://") or os.path.exists(url.removeprefix("file://")):
            return url
    return None
