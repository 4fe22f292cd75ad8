"""The registry answers as a plain dict does, whatever was declared, loaded, unloaded or failed.

The model below is the contract in forty lines: who has a key keeps it, newcomers that share one
lose it alone, `prefer` decides, by hand too, a strict call is all or nothing.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import initialize as at_first

import aimm_plugins
from aimm_plugins import PluginConflictError, PluginLoadError
from tests.conftest import names, without_distributions

KEYS = ["k0", "k1", "k2", "k3"]
HAND = "by_hand"

unique = itertools.count()


class Model:
    """What ought to be registered."""

    def __init__(self, modules, failing):
        self.modules = modules  # name to keys
        self.failing = failing
        self.provider = {}  # key to module
        self.shadowed = set()  # (module, key)
        self.states = {}  # module to state, over the calls that were committed
        self.preferences = []  # of the calls that were committed, the latest first

    def initialize(self, wanted, prefer, strict):
        """States of the modules, and whether the call fails."""
        provider, shadowed = dict(self.provider), {s for s in self.shadowed if s[0] not in wanted}
        healthy = [name for name in wanted if name not in self.failing]
        faulty = set(wanted) - set(healthy)
        for key in {key for name in healthy for key in self.modules[name]}:
            rivals = [name for name in healthy if key in self.modules[name]]
            holder = self.provider.get(key)
            if holder is not None and holder not in rivals:
                rivals = [holder, *rivals]
            winner = rivals[0] if len(rivals) == 1 else None
            if winner is None:
                winner = preferred(rivals, key, [prefer])
            if winner is not None:
                provider[key] = winner
                shadowed |= {(name, key) for name in rivals if name != winner}
                continue
            for name in rivals:
                if name == holder:
                    continue
                if holder is not None and (name, key) in self.shadowed:
                    shadowed.add((name, key))
                else:
                    faulty.add(name)
        states = {}
        for name in wanted:
            has = name in provider.values()
            if name in faulty and not has:
                states[name] = "failed"
            elif not has and any(each == name for each, _ in shadowed):
                states[name] = "shadowed"
            else:
                states[name] = "loaded"
        if not (strict and faulty):
            self.provider, self.shadowed = provider, shadowed
            self.states.update(states)
            others = [layer for layer in self.preferences if layer != prefer]
            self.preferences = [prefer, *others] if prefer else others
        return states, faulty

    def declare(self, name, keys):
        """By hand: all keys or none."""
        winners = {}
        for key in keys:
            rivals = {self.provider.get(key, name), name}
            winners[key] = name if len(rivals) == 1 else preferred(rivals, key, self.preferences)
        if None in winners.values():
            return False
        for key, winner in winners.items():
            self.shadowed |= {(each, key) for each in (self.provider.get(key, name), name)}
            self.shadowed.discard((winner, key))
        self.provider.update(winners)
        return True

    def forget(self, name):
        self.provider = {key: each for key, each in self.provider.items() if each != name}
        self.shadowed = {each for each in self.shadowed if each[0] != name}
        self.states.pop(name, None)


def preferred(rivals, key, preferences):
    """Who of several is wished for."""
    for prefer in preferences:
        for wish in (prefer.get(f"fit:{key}"), prefer.get(key)):
            if wish in rivals:
                return wish
    return None


class Registry(RuleBasedStateMachine):
    """Does the same to the registry and to the model, and compares."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = sys.path[:]
        sys.path[:] = [str(self.folder), *without_distributions(sys.path)]
        aimm_plugins.unload_all()

    @at_first(
        declared=st.lists(
            st.tuples(st.lists(st.sampled_from(KEYS), max_size=3, unique=True), st.integers(0, 4)),
            min_size=3,
            max_size=5,
        )
    )
    def write(self, declared):
        number = next(unique)
        modules, failing = {}, set()
        for index, (keys, luck) in enumerate(declared):
            name = f"machine_{number}_{index}"
            modules[name] = keys
            text = "import aimm_plugins\n"
            if keys:
                text += f"@aimm_plugins.fit({keys!r})\ndef f(m): return __name__\n"
            if luck == 0:
                failing.add(name)
                text += "raise ValueError\n"
            (self.folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        self.model = Model(modules, failing)
        self.names = list(modules)

    chosen = st.lists(st.integers(0, 4), min_size=1, max_size=4)

    @rule(
        chosen=chosen,
        prefer=st.dictionaries(
            st.sampled_from([*KEYS, *(f"fit:{key}" for key in KEYS)]),
            st.integers(0, 5),
            max_size=3,
        ),
        strict=st.booleans(),
        before=st.none() | st.integers(0, 4),
    )
    def initialize(self, chosen, prefer, strict, before):
        if before is not None:  # with no look at the registry in between
            self.import_plugin(before)
        wanted = list(dict.fromkeys(self.names[i % len(self.names)] for i in chosen))
        wishes = {
            rule: [*self.names, "nobody"][i % (len(self.names) + 1)] for rule, i in prefer.items()
        }
        states, faulty = self.model.initialize(wanted, wishes, strict)
        conf = names(*wanted, prefer=wishes, on_error="strict" if strict else "isolate")
        try:
            report = aimm_plugins.initialize(conf)
        except PluginLoadError as error:
            assert strict
            assert {each.name for each in error.report.failures} == faulty
            assert {each.state for each in error.report.plugins} <= {"failed", "undone"}
            assert len(error.exceptions) <= len(faulty) + len(KEYS)
        else:
            assert not (strict and faulty)
            assert {each.name: each.state for each in report.plugins} == states
            assert {each.name for each in report.failures} == faulty
            assert report.ok == (not faulty)
            for each in report.plugins:
                assert each.provides == tuple(
                    ("fit", key)
                    for key in sorted(self.model.provider)
                    if self.model.provider[key] == each.name
                )

    @rule(index=st.integers(0, 4))
    def import_by_hand(self, index):
        self.import_plugin(index)

    def import_plugin(self, index):
        name = self.names[index % len(self.names)]
        first = name not in sys.modules
        try:
            importlib.import_module(name)
        except PluginConflictError:
            assert first
            assert not self.model.declare(name, self.model.modules[name])
        except ValueError:
            assert name in self.model.failing
        else:
            if first:
                assert self.model.declare(name, self.model.modules[name])

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True))
    def declare(self, keys):
        def f(m):
            return HAND

        try:
            aimm_plugins.fit(keys)(f)
        except PluginConflictError:
            assert not self.model.declare(HAND, keys)
        else:
            assert self.model.declare(HAND, keys)

    @rule()
    def unload_all(self):
        aimm_plugins.unload_all()
        for name in {*self.model.provider.values(), *self.model.states}:
            self.model.forget(name)
        self.model.shadowed.clear()
        self.model.preferences.clear()

    @precondition(lambda self: self.loaded())
    @rule(data=st.data())
    def unregister(self, data):
        name = data.draw(st.sampled_from(self.loaded()))
        aimm_plugins.get_plugin_manager().unregister(name=name)
        self.model.forget(name)

    def loaded(self):
        manager = aimm_plugins.get_plugin_manager()
        return [name for name in self.names if manager.has_plugin(name)]

    @invariant()
    def answers_as_the_model(self):
        if not hasattr(self, "model"):
            return
        called = {key: aimm_plugins.exec_fit(key, None) for _, key in aimm_plugins.providers("fit")}
        assert called == self.model.provider
        for key in set(KEYS) - set(called):
            try:
                aimm_plugins.exec_fit(key, None)
            except aimm_plugins.UnknownPluginError as error:
                assert error.key == key
            else:
                raise AssertionError(f"{key} is answered")

    @invariant()
    def account_is_of_what_is_registered(self):
        if not hasattr(self, "model"):
            return
        report = aimm_plugins.current_report()
        assert {each.name for each in report.plugins} == set(self.model.states)
        account = {(key, each.name) for each in report.plugins for _, key in each.provides}
        assert account >= {
            (key, name) for key, name in self.model.provider.items() if name in self.model.states
        }

    def teardown(self):
        manager = aimm_plugins.get_plugin_manager()
        aimm_plugins.unload_all()
        if manager.has_plugin(__name__):
            manager.unregister(name=__name__)
        sys.path[:] = self.path
        shutil.rmtree(self.folder)
        for name in getattr(self, "names", ()):
            sys.modules.pop(name, None)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


def test_key_that_a_failed_import_had_taken_goes_back_to_who_had_it():
    state = Registry()
    try:
        state.write(declared=[([], 0), (["k0"], 0), ([], 0)])
        state.initialize(before=None, chosen=[0], prefer={"k0": 1}, strict=False)
        state.declare(keys=["k0"])
        state.import_by_hand(index=1)
        state.answers_as_the_model()
    finally:
        state.teardown()


def test_plugin_of_a_conf_has_its_key_again_when_the_import_that_took_it_fails():
    state = Registry()
    try:
        state.write(declared=[([], 0), (["k0"], 0), ([], 0), (["k0"], 1)])
        state.initialize(before=None, chosen=[0], prefer={"k0": 1}, strict=False)
        state.initialize(before=None, chosen=[3], prefer={}, strict=False)
        before = aimm_plugins.current_report().to_dict()
        state.import_by_hand(index=1)
        state.answers_as_the_model()
        assert aimm_plugins.current_report().to_dict() == before
    finally:
        state.teardown()
