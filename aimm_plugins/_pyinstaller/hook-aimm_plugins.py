"""What PyInstaller has to put into a program besides the modules that it finds by itself.

That is the schemas and the metadata of this package, and of each plugin that is installed where the
program is built its metadata, modules and data files. Run by PyInstaller alone.
"""

from importlib.metadata import distributions

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

datas = [*copy_metadata("aimm-plugins"), *collect_data_files("aimm_plugins", subdir="schemas")]
hiddenimports = []

for distribution in distributions():
    for point in distribution.entry_points:
        if not f"{point.group}.".startswith(("aimm.plugins.", "aimm_plugins.executors.")):
            continue
        package = point.module.partition(".")[0]
        if package != "aimm_plugins":  # its executor would bring distributed into every program
            datas += [*copy_metadata(distribution.name), *collect_data_files(package)]
            hiddenimports += collect_submodules(package)
