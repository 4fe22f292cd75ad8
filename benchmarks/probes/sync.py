"""Becomes an `aimm-plugins env sync` that finds all in place; with `--help` one that only tells.

To be measured from outside. What the place needs is made by a process of its own, so that the
command has to import all that it needs.
"""

import subprocess
import sys
from tempfile import TemporaryDirectory

PLACE = """
import json, os, sys, venv
from aimm_plugins._config.parse import read
from aimm_plugins._environments.made import wanted
folder, file = sys.argv[1:]
conf = {"names": [], "environments_folder": folder, "environments": {"made": {"requirements": []}}}
with open(file, "w") as stream:
    json.dump(conf, stream)
config = read(file)
venv.create(f"{folder}/place", symlinks=True)
os.symlink(f"{folder}/place", wanted(config, config.environments["made"]).link)
"""

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        conf = f"{folder}/plugins.yaml"
        subprocess.run([sys.executable, "-c", PLACE, folder, conf], check=True)
        command = [sys.executable, "-m", "aimm_plugins", "env", "sync", "--conf", conf]
        subprocess.run([*command, *sys.argv[1:]], check=True)
