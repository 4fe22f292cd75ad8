"""Build what would be released, check it, and write it with its SBOM to a folder.

The distributions are built twice: from this folder, and from the unpacked source distribution in
another one, with other file modes and times, another locale and another hash seed. Both have to
be the same to the last byte. The SBOM is SPDX 2.3, made from the wheel's own metadata.

References:
    https://reproducible-builds.org/docs/source-date-epoch/
    https://spdx.github.io/spdx-spec/v2.3/
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import Distribution, PathDistribution, version
from pathlib import Path
from zipfile import Path as ZipPath

from hatchling.builders.utils import get_reproducible_timestamp
from packaging.requirements import Requirement
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from spdx_tools.spdx.writer.write_anything import write_file

ROOT = Path(__file__).resolve().parents[1]


def main(folder: Path) -> None:
    """Check and write a release.

    Args:
        folder: Where it goes; emptied first.

    Raises:
        SystemExit: Something is not as it should be.
    """
    run("validate-pyproject", str(ROOT / "pyproject.toml"))
    if in_git():
        run("pre-commit", "validate-config", ".pre-commit-config.yaml")
        run("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")
        run("pre-commit", "run", "--all-files")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        built = build(ROOT, scratch / "built")
        again = build(unpacked(built, scratch / "elsewhere"), scratch / "again", **OTHERWISE)
        if digests(built) != digests(again):
            sys.exit(f"not reproducible: {digests(built)}\n{' ' * 18}{digests(again)}")
        run("twine", "check", "--strict", *map(str, built))
        run("check-wheel-contents", *(str(file) for file in built if file.suffix == ".whl"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in built:
            shutil.copy(file, folder)
    (wheel,) = folder.glob("*.whl")
    document = sbom(wheel)
    target = folder / f"{'-'.join(wheel.name.split('-')[:2])}.spdx.json"
    write_file(document, str(target), validate=False)
    faults = validate_full_spdx_document(parse_file(str(target)))
    if faults:
        sys.exit("\n".join(f"{target.name}: {fault.validation_message}" for fault in faults))
    for name, digest in digests(sorted(folder.iterdir())).items():
        print(f"{digest}  {name}")


OTHERWISE = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"}


@cache
def in_git() -> bool:
    """Whether git is there and takes this folder for a checkout, without which no hook runs."""
    try:
        done = subprocess.run(("git", "status"), cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    if done.returncode:
        print(f"the hooks are not run: {done.stderr.decode(errors='replace').strip()}")
    return done.returncode == 0


def run(*command: str, cwd: Path = ROOT, **variables: str) -> None:
    """Run a command, whose output is seen; end with its status if it fails."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")


def build(source: Path, folder: Path, **variables: str) -> list[Path]:
    """Build both distributions of a source tree, each from that tree itself."""
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel"),
        *("--outdir", str(folder), "."),
        cwd=source,
        **variables,
    )
    return sorted(folder.iterdir())


def unpacked(built: list[Path], folder: Path) -> Path:
    """The tree of the source distribution, with modes and times of its own; programs stay such."""
    (archive,) = (file for file in built if file.name.endswith(".tar.gz"))
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    for path in tree.rglob("*"):
        if path.is_file():
            path.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
            os.utime(path, (1_000_000_000, 1_000_000_000))
    return tree


def digests(files: list[Path]) -> dict[str, str]:
    """SHA-256 of files, in hex, by name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def sbom(wheel: Path) -> Document:
    """What a wheel is, what it needs when it runs, and what built it."""
    folder = next(each for each in ZipPath(wheel).iterdir() if each.name.endswith(".dist-info"))
    metadata = PathDistribution(folder)  # type: ignore[arg-type]  # reads by the methods of Path
    digest = digests([wheel])[wheel.name]
    name, number = metadata.metadata["Name"], metadata.version
    subject = Package(
        spdx_id="SPDXRef-wheel",
        name=name,
        version=number,
        download_location=SpdxNoAssertion(),
        file_name=wheel.name,
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, digest)],
        license_declared=licence(metadata),
        primary_package_purpose=PackagePurpose.LIBRARY,
        external_references=[purl(name, number)],
    )
    tool = Package(
        spdx_id="SPDXRef-build-hatchling",
        name="hatchling",
        version=version("hatchling"),
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        external_references=[purl("hatchling", version("hatchling"))],
    )
    relationships = [
        Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, subject.spdx_id),
        Relationship(tool.spdx_id, RelationshipType.BUILD_TOOL_OF, subject.spdx_id),
    ]
    needed = list(dependencies(metadata))
    for package, optional in needed:
        relationships.append(
            Relationship(package.spdx_id, RelationshipType.OPTIONAL_DEPENDENCY_OF, subject.spdx_id)
            if optional
            else Relationship(subject.spdx_id, RelationshipType.DEPENDS_ON, package.spdx_id)
        )
    return Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id="SPDXRef-DOCUMENT",
            name=f"{name}-{number}",
            # Unique, and the same for the same wheel.
            document_namespace=f"https://spdx.org/spdxdocs/{name}-{number}-{digest}",
            creators=[Actor(ActorType.TOOL, f"spdx-tools-{version('spdx-tools')}")],
            created=created(),
        ),
        packages=[subject, tool, *(package for package, _ in needed)],
        relationships=relationships,
    )


def licence(metadata: Distribution) -> object:
    """The wheel's licence, as SPDX has it."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing().parse(metadata.metadata["License-Expression"], validate=True)


def dependencies(metadata: Distribution) -> Iterator[tuple[Package, bool]]:
    """A package for each distribution that is required, and whether only extras ask for it."""
    wanted: dict[str, list[Requirement]] = {}
    for text in metadata.requires or ():
        requirement = Requirement(text)
        wanted.setdefault(requirement.name.lower(), []).append(requirement)
    for name, requirements in wanted.items():
        yield (
            Package(
                spdx_id=f"SPDXRef-needs-{name}",
                name=name,
                download_location=SpdxNoAssertion(),
                files_analyzed=False,
                comment="\n".join(map(str, requirements)),
                external_references=[purl(name)],
            ),
            all("extra" in str(requirement.marker) for requirement in requirements),
        )


def created() -> datetime:
    """The time that the archives have, else that of the last commit; never that of the run."""
    seconds = get_reproducible_timestamp()
    if "SOURCE_DATE_EPOCH" not in os.environ and in_git():
        command = ("git", "log", "-1", "--format=%ct")
        seconds = int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def purl(name: str, number: str | None = None) -> ExternalPackageRef:
    """The package URL of a distribution."""
    locator = f"pkg:pypi/{name.lower()}" + (f"@{number}" if number else "")
    return ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", locator)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist"))
