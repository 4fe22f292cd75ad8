"""Talks to a server over its REPL control, with the original's client; prints what it is told.

client.py PORT STATE_PORT fresh|restarted
"""

import asyncio
import base64
import builtins
import json
import sys

import aimm.client.repl
import numpy
from aimm import plugins
from aimm.client.repl import AIMM, DataAccessArg
from hat import aio
from sklearn.datasets import load_iris

ROWS = numpy.array([[5.0, 3.4, 1.5, 0.2], [6.0, 2.7, 4.2, 1.3], [6.7, 3.1, 5.6, 2.1]])
X, Y = DataAccessArg("iris", ["data"]), DataAccessArg("iris", ["target"])

# The client asks a person.
builtins.input = lambda prompt: "ada"
aimm.client.repl.getpass = lambda prompt: "secret"


async def connect(port):
    client = AIMM()
    await client.connect(f"ws://127.0.0.1:{port}")
    return client


async def refused(call):
    try:
        await call
    except Exception as error:
        return str(error)
    return "not refused"


async def fresh(client):
    yield "no plugin", "nobody" in await refused(client.create_instance("nobody"))
    model = await client.create_instance("sk.logistic", max_iter=500)
    yield "created", repr(model)
    yield "plugin's error", await refused(model.fit(X, [0, 1]))
    await model.fit(X, Y)
    yield "predicted", (await model.predict(ROWS)).tolist()


async def restarted(client, state_port):
    # Until it is updated a model that was read from the database has no lock, which is a KeyError.
    yield "original's defect", await refused(client.predict(1, ROWS))
    watcher = await connect(state_port)
    changed = asyncio.Event()
    watcher._connection.state.register_change_cb(lambda state: changed.set())
    mine = plugins.exec_instantiate("sk.logistic", max_iter=500)
    iris = load_iris()
    mine = plugins.exec_fit("sk.logistic", mine, lambda state: None, iris.data, iris.target)
    yield "added", repr(await client.add_instance("sk.logistic", mine))
    while not (watcher.state and watcher.state["models"]):
        await changed.wait()
        changed.clear()
    yield "models", {key: repr(model) for key, model in watcher.state["models"].items()}
    stored = watcher._connection.state.data["models"]["1"]["instance"]
    # A second state would end the watching session, and a session that ends makes actions fail.
    await watcher.async_close()
    for _ in range(3):
        await client._connection.send("nothing that the control knows", {})
    reloaded = plugins.exec_deserialize("sk.logistic", base64.b64decode(stored))
    _, prediction = plugins.exec_predict("sk.logistic", reloaded, lambda state: None, ROWS)
    yield "reloaded", prediction.tolist()
    yield "updated", repr(await client.update_instance("sk.logistic", 1, reloaded))
    yield "predicted", (await client.predict(1, ROWS)).tolist()
    yield "predicted by the added", (await client.predict(2, ROWS)).tolist()


async def main():
    port, state_port, moment = sys.argv[1:]
    plugins.initialize({"names": ["sk_models"]})
    client = await connect(port)
    steps = fresh(client) if moment == "fresh" else restarted(client, state_port)
    said = {name: value async for name, value in steps}
    await client.async_close()
    json.dump({"said": said, "plugins": plugins.initialize.__module__}, sys.stdout)


if __name__ == "__main__":
    aio.init_asyncio()
    aio.run_asyncio(main())
