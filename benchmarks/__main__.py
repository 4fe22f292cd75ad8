"""`python -m benchmarks`: measures, compares with the targets, and writes it down if asked."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    artifacts,
    async_,
    dask,
    discovery,
    dispatch,
    environments,
    import_,
    initialize,
    lazy,
    listing,
    memory,
    processes,
    registration,
    report,
    state,
)
from benchmarks.measuring import MeasurementError, Outcome, Sampler, Section, measure

SECTIONS: tuple[Callable[[bool], Section], ...] = tuple(
    each.section
    for each in (
        import_,
        discovery,
        initialize,
        lazy,
        registration,
        dispatch,
        state,
        async_,
        memory,
        artifacts,
        dask,
        processes,
        listing,
    )
)


def sections(*, quick: bool) -> list[Section]:
    """All sections, in their order."""
    return [make(quick) for make in SECTIONS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, whatever the figures are; 1 if something could not be measured; 2 for wrong use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures this package beside its peers, in one run, as ratios. The peers are "
        "installed into .venv-benchmarks on first use.",
    )
    parser.add_argument(
        "--section", action="append", metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes and a few rounds, with the Python that runs this and the peers that it "
        "has: shows that all works, not how fast",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write README.md, results.json and the charts beside the code (a full run only)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--list", action="store_true", help="list sections, figures and targets")
    options = parser.parse_args(arguments)

    chosen = sections(quick=options.quick)
    known = [section.name for section in chosen]
    for name in options.section or ():
        if name not in known:
            parser.error(f"no section {name!r}; there are {', '.join(known)}")
    if options.section:
        chosen = [section for section in chosen if section.name in options.section]
    if options.write and (options.quick or options.section):
        parser.error("--write is for a full run: what it writes holds all sections")
    if options.list:
        for section in chosen:
            print(section.name)
            for figure in section.figures:
                print(f"  {figure.name}: at most {figure.target}")
        return 0

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        if options.quick:
            interpreter = environments.interpreter(sys.executable, Path(folder))
        else:
            interpreter = environments.set_up_peers()
        begin = time.monotonic()
        results: list[tuple[Section, list[Outcome]]] = []
        print(report.machine(interpreter))
        for section in chosen:
            sampler = (
                Sampler(interpreter, milliseconds=0.3, most=1)
                if options.quick
                else Sampler(interpreter)
            )
            try:
                outcomes = [
                    outcome
                    for series in section.series
                    for outcome in measure(series, sampler, interpreter.available)
                ]
            except MeasurementError as error:
                print(f"{section.name} cannot be measured: {error}", file=sys.stderr)
                return 1
            finally:
                sampler.close()
            results.append((section, outcomes))
            print(f"\n{section.title}\n{report.text_table(outcomes)}", flush=True)
        seconds = time.monotonic() - begin
        print(f"\n{report.verdict(results)}\nTook {seconds:.0f} s.")
        document = report.document(results, interpreter)
        if options.json is not None:
            report.write_json(document, options.json)
        if options.write:
            report.write(results, document, interpreter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
