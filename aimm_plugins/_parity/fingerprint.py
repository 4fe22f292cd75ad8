"""What is registered, as a digest with its table; what differs between two of them.

The sources of a plugin are all `*.py` files of the outermost package that its module is in, or that
single file. They are hashed as Python reads them: with `\\n` at the end of a line, so that a
checkout with other line ends, which is the same program, has the same fingerprint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

from aimm_plugins._discovery.module_location import locate
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import Action
from aimm_plugins._values.difference import Difference, Kind

if TYPE_CHECKING:
    from zipfile import ZipFile

    from aimm_plugins._registry.snapshot import Snapshot

_FORMAT = "aimm-fingerprint-1"
"""Goes into every digest; a new one where the same plugins would give another digest."""


class FingerprintRow(NamedTuple):
    """Who answers one action and key, and with what sources.

    A tuple, since making as many dataclasses took a fifth of the time of a fingerprint.

    Attributes:
        action: The action.
        key: The data access name or model type.
        distribution: Normalized name of the distribution; `None` where none owns the plugin.
        version: Its version.
        module: The module that declares it.
        qualname: The declared function or class in there.
        sources: SHA-256 of the plugin's Python sources in hex; `None` where there are none, as for
            what is typed into an interpreter.
    """

    action: Action
    key: str
    distribution: str | None
    version: str | None
    module: str
    qualname: str
    sources: str | None

    @property
    def owner(self) -> str:
        """`aimm-svc 1.2  aimm_svc:fit_svc`."""
        who = f"{self.distribution} {self.version or '(unknown version)'}  "
        return (who if self.distribution else "") + f"{self.module}:{self.qualname}"

    def to_dict(self) -> dict[str, str | None]:
        """JSON-serializable."""
        return self._asdict()

    @classmethod
    def from_dict(cls, data: object) -> FingerprintRow:
        """The row of `to_dict`; keys that are not known here are passed over.

        Raises:
            ValueError: It is no row.
        """
        if not isinstance(data, Mapping):
            raise ValueError("a row of a fingerprint is a mapping")
        values: dict[str, Any] = {name: data.get(name) for name in cls._fields}
        for name, value in values.items():
            optional = value is None and name in ("distribution", "version", "sources")
            if not (isinstance(value, str) or optional):
                raise ValueError(f"{name} of a fingerprint's row is {value!r}")
        if values["action"] not in get_args(Action):
            raise ValueError(f"there is no action {values['action']!r}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is registered: equal where the same plugins are, on every platform and Python.

    Attributes:
        rows: A row for each action and key, sorted.
        digest: SHA-256 of the rows in hex.
    """

    rows: tuple[FingerprintRow, ...]
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        return {"digest": self.digest, "rows": [row.to_dict() for row in self.rows]}

    @classmethod
    def from_dict(cls, data: object) -> Fingerprint:
        """The fingerprint of `to_dict`.

        Raises:
            ValueError: It is none, or its digest is not that of its rows.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("rows"), list | tuple):
            raise ValueError("a fingerprint is a mapping with digest and rows")
        made = of_rows(FingerprintRow.from_dict(row) for row in data["rows"])
        if made.digest != data.get("digest"):
            raise ValueError("the digest of a fingerprint is not that of its rows")
        return made

    def __str__(self) -> str:
        cells = [
            (f"{row.action}:{row.key}", row.owner, (row.sources or "-")[:12]) for row in self.rows
        ]
        return "\n".join([f"fingerprint {self.digest}", *_table(cells)])


@dataclass(frozen=True, slots=True)
class Differences(Sequence[Difference]):
    """What differs between two fingerprints; false where nothing does."""

    rows: tuple[Difference, ...] = ()

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        if not self.rows:
            return "no difference"
        cells = [("what", "first", "second", "keys")]
        for row in self.rows:
            keys = ", ".join(f"{action}:{key}" for action, key in row.provides)
            cells.append((row.kind, row.first or "-", row.second or "-", keys))
        remedies = dict.fromkeys(row.remedy for row in self.rows)
        return "\n".join([*_table(cells), "To make the second like the first:", *remedies])

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        return {"differences": [row.to_dict() for row in self.rows]}


_known: tuple[Snapshot, tuple[Provider, ...], Fingerprint] | None = None
"""The last fingerprint, with what it was made from. One assignment, so that threads need no lock:
at worst two make the same one."""


def fingerprint() -> Fingerprint:
    """The fingerprint of what is registered in this process.

    A deferred plugin is not imported; its row is that of its metadata, which is the same once it is
    loaded. Kept until the registry changes: sources that are edited later on are not read again.

    Returns:
        The digest with its table.
    """
    PROCESS.runtime.ledger.discard_failed_imports()
    return of_snapshot(PROCESS.runtime.registry.snapshot)


def of_snapshot(snapshot: Snapshot) -> Fingerprint:
    """The fingerprint of what is registered, or is about to be."""
    global _known
    # A declaration by hand adds to a snapshot's mappings without replacing it.
    providers = tuple(snapshot.providers())
    known = _known
    if known is not None and known[0] is snapshot and known[1] == providers:
        return known[2]
    sources = _Sources()
    made = of_rows(sources.row(provider) for provider in providers)
    _known = (snapshot, providers, made)
    return made


def of_rows(rows: Iterable[FingerprintRow]) -> Fingerprint:
    """The fingerprint of rows, in whatever order they come."""
    import hashlib
    import json

    table = tuple(sorted(rows, key=attrgetter("action", "key")))
    text = json.dumps([_FORMAT, FingerprintRow._fields, table], separators=(",", ":"))
    return Fingerprint(table, hashlib.sha256(text.encode()).hexdigest())


class _Sources:
    """Hashes the sources of plugins, each package once."""

    def __init__(self) -> None:
        self._of_modules: dict[tuple[str, str], str | None] = {}
        self._names: dict[str | None, str | None] = {None: None}
        self._digests: dict[tuple[str, str], str | None] = {}
        self._files: dict[str, str | None] = {}

    def row(self, provider: Provider) -> FingerprintRow:
        module, qualname = self._declared(provider)
        modules = (provider.plugin, module)
        if modules not in self._of_modules:
            self._of_modules[modules] = self._digest(dict.fromkeys(modules))
        who = provider.provenance
        name = who.distribution
        if name not in self._names:
            self._names[name] = re.sub(r"[-_.]+", "-", cast(str, name)).lower()
        # What multiprocessing calls the main module in a process that it has spawned.
        called = "__main__" if module == "__mp_main__" else module
        return FingerprintRow(
            provider.action,
            provider.key,
            self._names[name],
            who.version,
            called,
            qualname,
            self._of_modules[modules],
        )

    def _declared(self, provider: Provider) -> tuple[str, str]:
        """Module and name of what was declared, the same for deferred and loaded plugins."""
        declaration = provider.declaration
        if declaration is not None:
            # The class itself, where it is one: metadata does not speak of its methods.
            name = getattr(declaration.target, "__qualname__", None)
            return provider.module, name if isinstance(name, str) else provider.qualname
        return self._defined(provider.module, provider.qualname, depth=8)

    def _defined(self, module: str, attribute: str, depth: int) -> tuple[str, str]:
        """Where a published name is defined, if the module only imports it from elsewhere."""
        file = self._file(module)
        head, dot, tail = attribute.partition(".")
        if file is None or not file.endswith(".py") or not depth:
            return module, attribute
        content = _read(file) or b""
        name = re.escape(head.encode())
        if re.search(rb"(?m)^(?:(?:async[ \t]+)?def|class)[ \t]+" + name + rb"\b", content):
            return module, attribute
        found = _imported_from(content, head, module, _is_package(file))
        if found is None:
            return module, attribute
        return self._defined(found[0], found[1] + dot + tail, depth - 1)

    def _file(self, module: str) -> str | None:
        if module not in self._files:
            self._files[module] = locate(module)
        return self._files[module]

    def _digest(self, modules: Iterable[str]) -> str | None:
        digests = []
        for module in modules:
            root = _root(module, self._file(module))
            if root is None:
                continue
            if root not in self._digests:
                self._digests[root] = _hashed(*root)
            digests.append(self._digests[root])
        known = list(dict.fromkeys(each for each in digests if each is not None))
        if len(known) < 2:
            return known[0] if known else None
        import hashlib

        return hashlib.sha256("".join(known).encode()).hexdigest()


def _is_package(file: str) -> bool:
    return file.replace(os.sep, "/").rpartition("/")[2].startswith("__init__.")


def _root(module: str, file: str | None) -> tuple[str, str] | None:
    """The outermost package that a module is in, or its file: folder before it, path in there."""
    if file is None:
        return None
    parts = module.split(".")
    path = file.replace(os.sep, "/")
    inner = "/".join(parts) + ("/" if _is_package(file) else ".")
    base, found, _ = path.rpartition("/" + inner)
    if not found:  # `__main__`, or a loader that has its own ways
        return os.path.dirname(file), os.path.basename(file)
    own = len(parts) if _is_package(file) else 0
    for depth in range(1, len(parts) + (1 if own else 0)):
        folder = "/".join(parts[:depth])
        if depth == own or _exists(f"{base}/{folder}/__init__.py"):
            return base, folder
    return base, path[len(base) + 1 :]


def _hashed(base: str, inner: str) -> str | None:
    """SHA-256 of the sources beneath `base/inner`, with their paths from `base`."""
    import hashlib

    digest = hashlib.sha256()
    contents = _sources(base, inner)
    for path, content in contents:
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Escaped, since a name that is not UTF-8 must not stop anything.
        name = path.encode("utf-8", "surrogateescape")
        digest.update(b"%d %d\n%b\n" % (len(name), len(content), name))
        digest.update(content)
    return digest.hexdigest() if contents else None


def _sources(base: str, inner: str) -> list[tuple[str, bytes]]:
    """Paths and contents of the Python sources, in an order that no file system has a say in."""
    place = f"{base}/{inner}"
    try:
        paths = [inner] if inner.endswith(".py") else sorted(_listed(place, inner))
    except OSError:  # in a zip; or bytecode, or an extension
        paths = []
    contents = [
        (path, content) for path in paths if (content := _read(f"{base}/{path}")) is not None
    ]
    return contents or list(_zipped(place, inner))


def _listed(folder: str, inner: str) -> list[str]:
    """The sources in a folder.

    Raises:
        OSError: It cannot be listed; what lies in it and cannot is passed over.
    """
    found = []
    for name in os.listdir(folder):
        if name.endswith(".py"):
            found.append(f"{inner}/{name}")
        # No import leads into a folder with a dot in its name. What is linked from elsewhere may
        # lead in a circle, and no installer makes such links.
        elif "." not in name and name != "__pycache__":
            place = f"{folder}/{name}"
            if not os.path.islink(place):
                with suppress(OSError):
                    found += _listed(place, f"{inner}/{name}")
    return found


def _zipped(place: str, inner: str) -> Iterator[tuple[str, bytes]]:
    opened = _archive(place)
    if opened is None:
        return
    archive, prefix = opened
    with archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".py") and (name == prefix or name.startswith(f"{prefix}/")):
                yield inner + name[len(prefix) :], archive.read(name)


def _archive(place: str) -> tuple[ZipFile, str] | None:
    """The zip on the way to a path, and the path in there."""
    from zipfile import BadZipFile, ZipFile

    file, inside = os.path.split(place)
    while inside and not os.path.exists(file):
        parent, name = os.path.split(file)
        if parent == file:
            return None
        file, inside = parent, f"{name}/{inside}"
    if not os.path.isfile(file):
        return None
    try:
        return ZipFile(file), inside
    except (OSError, BadZipFile):
        return None


def _exists(path: str) -> bool:
    if os.path.exists(path):
        return True
    opened = _archive(path)
    if opened is None:
        return False
    archive, inside = opened
    with archive:
        return inside in archive.NameToInfo


def _read(file: str) -> bytes | None:
    try:
        with open(file, "rb", buffering=0) as stream:
            return stream.read()
    except OSError:
        return None


def _imported_from(content: bytes, name: str, module: str, package: bool) -> tuple[str, str] | None:
    """Module and name that `from … import …` gives a name in a module."""
    import ast

    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = None
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) != name:
                continue
            origin = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + (1 if package else 0)]
                origin = ".".join([*above, *([origin] if origin else [])])
            found = (origin, alias.name)  # the last one counts, as it does when it is run
    return found


def compare(first: Fingerprint, second: Fingerprint) -> Differences:
    """What differs between the plugins of two places, as a table.

    Args:
        first: How it should be, such as in the host.
        second: How it is, such as in a worker.

    Returns:
        The differences, those of one plugin together; none where both are the same.
    """
    if first.digest == second.digest:
        return Differences()
    mine, theirs = ({(row.action, row.key): row for row in each.rows} for each in (first, second))
    found: dict[tuple[Kind, str | None, str | None, str], list[Slot]] = {}
    slots = cast(list[Slot], sorted(mine.keys() | theirs.keys()))
    for slot in slots:
        one, other = mine.get(slot), theirs.get(slot)
        kind = _kind(one, other)
        if kind is None:
            continue
        whole = (one is None or other is None) or kind != "other provider"
        group = (kind, _who(one, whole), _who(other, whole), _remedy(kind, one, other))
        found.setdefault(group, []).append(slot)
    return Differences(
        tuple(
            Difference(kind=kind, provides=tuple(same), first=one, second=other, remedy=remedy)
            for (kind, one, other, remedy), same in found.items()
        )
    )


def _kind(one: FingerprintRow | None, other: FingerprintRow | None) -> Kind | None:
    if one == other:
        return None
    if other is None:
        return "missing"
    if one is None:
        return "unexpected"
    if one.distribution != other.distribution:
        return "other provider"
    if one.distribution is None and one.module != other.module:
        return "other provider"
    if one.version != other.version:
        return "version differs"
    return "files differ" if one.sources != other.sources else "other provider"


def _who(row: FingerprintRow | None, whole: bool) -> str | None:
    """The plugin of a row; not the function, by which rows of one plugin would not group."""
    if row is None:
        return None
    if not whole or row.distribution is None:
        return row.owner if not whole else f"{row.module} {(row.sources or '')[:12]}".rstrip()
    return f"{row.distribution} {row.version or '(unknown version)'} {(row.sources or '')[:12]}"


def _remedy(kind: Kind, one: FingerprintRow | None, other: FingerprintRow | None) -> str:
    if kind == "unexpected":
        row = cast(FingerprintRow, other)
        who = row.distribution or row.module
        return f"  take {who} out: uninstall it, or deny it in the conf"
    row = cast(FingerprintRow, one)
    if kind == "other provider":
        return f'  prefer: {{"{row.key}": {row.distribution or row.module}}}  (in the conf)'
    if row.distribution is None:
        place = (
            "declare it in a module; what a main program or a notebook declares stays there"
            if row.module == "__main__"
            else f"put the same {row.module} on the path, and into `names` of the conf"
        )
        return f"  {place}"
    wanted = f"{row.distribution}=={row.version}" if row.version else row.distribution
    again = " --force-reinstall" if kind == "files differ" else ""
    return f"  pip install{again} {wanted}" + (
        "  (and let the conf load it)" if kind == "missing" else ""
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    return [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
