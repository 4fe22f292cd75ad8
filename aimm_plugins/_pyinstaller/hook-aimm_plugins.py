"""What PyInstaller has to put into a program besides the modules that it finds by itself.

That is the schemas and the metadata of this package, and of each plugin that is installed where the
program is built its metadata, modules and data files. Run by PyInstaller alone.
"""

from contextlib import suppress
from importlib.metadata import distributions

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

from aimm_plugins._discovery.groups import EXECUTORS
from aimm_plugins._discovery.scan import scan

datas = [*copy_metadata("aimm-plugins"), *collect_data_files("aimm_plugins", subdir="schemas")]
hiddenimports = []

found = scan()
offers = (*found.candidates, *found.published, *found.options)
wanted = {(offer.distribution.name, offer.module) for offer in offers}
for distribution in distributions():
    with suppress(AttributeError, TypeError, ValueError):  # of a third party's broken line
        points = distribution.entry_points.select(group=EXECUTORS)
        wanted |= {(distribution.name, point.module) for point in points}

for name, package in sorted({(name, module.partition(".")[0]) for name, module in wanted}):
    if package != "aimm_plugins":  # its executor would bring distributed into every program
        datas += [*copy_metadata(name), *collect_data_files(package)]
        hiddenimports += collect_submodules(package)
