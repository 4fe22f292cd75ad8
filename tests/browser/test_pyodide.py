"""The package in Pyodide, that is CPython in WebAssembly, here in Node.

Not among the tests that run by default: `tox -e browser` needs npm, and has npm's pyodide, by
`PYODIDE`. The packages of this environment are taken as they are: what is compiled in them cannot
be imported there, and is done without.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import aimm_plugins
from tests.support.metadata import write_dist_info

pytestmark = pytest.mark.browser

NODE = """
import { loadPyodide } from PYODIDE;
const python = await loadPyodide();
for (const [number, folder] of FOLDERS.entries()) {
  python.FS.mkdir("/path" + number);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, "/path" + number);
  python.runPython(`import sys; sys.path.insert(0, "/path${number}")`);
}
try {
  python.runPython(HOST);
} catch (error) {
  console.log(error.message);  // Node prints the whole file before it
  process.exit(1);
}
"""
HOST = """
import json, sys
import aimm_plugins
from aimm_plugins import cli

conf = {"names": []}
told = {"platform": sys.platform, "planned": aimm_plugins.plan(conf).to_dict()}
told["loaded"] = aimm_plugins.initialize(conf).to_dict()
told["answer"] = aimm_plugins.exec_fit("wasm", 20)
print("told", json.dumps(told))
for verb in ("list", "plan"):
    print("status", cli.run([verb]))
try:
    aimm_plugins.unload_all()
    aimm_plugins.initialize({"names": ["other"], "probe": True})
except aimm_plugins.PluginLoadError as error:
    print("probe", *error.exceptions)
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    """What a host in Pyodide prints, beside which a plugin is installed."""
    node, pyodide = shutil.which("node"), os.environ.get("PYODIDE")
    if node is None or not pyodide:
        pytest.skip("needs Node, and npm's pyodide by PYODIDE")
    site = tmp_path_factory.mktemp("site")
    (site / "wasm_plugin.py").write_text(
        "from aimm_plugins import fit\n\n@fit(['wasm'])\ndef learn(model):\n    return model + 1\n"
    )
    (site / "other.py").write_text("")
    write_dist_info(site, "wasm", entry_points={"wasm": "wasm_plugin"}, files=["wasm_plugin.py"])
    purelib = sysconfig.get_path("purelib")
    folders = [purelib, str(Path(aimm_plugins.__file__).parents[1]), str(site)]
    program = NODE.replace("PYODIDE", json.dumps((Path(pyodide) / "pyodide.mjs").as_uri()))
    program = program.replace("FOLDERS", json.dumps(folders)).replace("HOST", json.dumps(HOST))
    file = site / "host.mjs"
    file.write_text(program)
    done = subprocess.run([node, file], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def told(printed: str) -> dict[str, object]:
    (line,) = [line for line in printed.splitlines() if line.startswith("told ")]
    return json.loads(line.removeprefix("told "))


def test_installed_plugin_is_planned_loaded_and_called(printed):
    found = told(printed)
    states = {
        name: [(plugin["distribution"], plugin["state"]) for plugin in found[name]["plugins"]]
        for name in ("planned", "loaded")
    }
    assert states == {"planned": [("wasm", "planned")], "loaded": [("wasm", "loaded")]}
    assert (found["platform"], found["answer"]) == ("emscripten", 21)


def test_verbs_show_the_plugin(printed):
    rows = [line.split() for line in printed.splitlines() if "wasm_plugin" in line]
    assert ["wasm", "wasm", "1.0"] in [row[:3] for row in rows]
    assert ["1", "planned", "wasm"] in [row[:3] for row in rows]
    assert printed.count("status 0") == 2


def test_probe_says_that_no_child_can_be_started(printed):
    (line,) = [line for line in printed.splitlines() if line.startswith("probe ")]
    assert "no child process can be started: WebAssembly has no processes" in line
    assert "Leave `probe` out of the conf" in line
