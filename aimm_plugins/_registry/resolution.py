"""What registering the plugins of a call would lead to, worked out before anything changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aimm_plugins._declarations.ledger import Declaration
from aimm_plugins._registry.providers import (
    Deferred,
    Owners,
    Preferences,
    Provider,
    Slot,
    Snapshot,
    conflict,
    named,
    provider_of,
    same_provider,
)
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import Finding, Identity, PluginRecord, State
from aimm_plugins.errors import DeclarationError, PluginConflictError

if TYPE_CHECKING:  # reading metadata is not part of `import aimm_plugins`
    from aimm_plugins._discovery.entry_points import Published


class Loaded(NamedTuple):
    """A plugin whose module is imported, with the object that its entry point names.

    Attributes:
        record: Its account so far.
        target: The decorated object, for an entry point `module:object`; else `None`.
        published: The keys that its metadata tells, if it tells any.
        lazily: Whether others have relied on those keys meanwhile.
    """

    record: PluginRecord
    target: object | None = None
    published: tuple[Published, ...] = ()
    lazily: bool = False


class Resolution:
    """What a commit would do.

    Attributes:
        records: The accounts, in the order of the plan.
        snapshot: What would be registered then.
        modules: Plugin modules that belong into the plugin manager then.
        dropped: Plugin modules that do not any more.
        findings: Published keys that differ from the declared ones.
    """

    __slots__ = ("dropped", "findings", "modules", "records", "snapshot")

    def __init__(
        self,
        *,
        records: list[PluginRecord],
        snapshot: Snapshot,
        modules: list[str],
        dropped: list[str],
        findings: list[Finding],
    ) -> None:
        self.records = records
        self.snapshot = snapshot
        self.modules = modules
        self.dropped = dropped
        self.findings = findings

    def add_missing(self, missing: Iterable[PluginRecord]) -> None:
        """Account for what is required and not there."""
        for record in missing:
            self.records.append(record)
            self.snapshot.records[record.identity] = record


def resolve(
    standing: Snapshot,
    declarations: Sequence[Declaration],
    records: Sequence[PluginRecord],
    loaded: Sequence[Loaded],
    prefer: Preferences,
    *,
    deferred: Sequence[Deferred] = (),
    removed: Set[Identity] = frozenset(),
    demanded: bool = False,
) -> Resolution:
    """Work out who provides what after a call.

    Args:
        standing: What is registered now.
        declarations: All that the book holds, in its order.
        records: The accounts of all plugins of this call, in order.
        loaded: Those whose modules are imported and sound.
        prefer: Rules that settle conflicts; earlier layers are asked first.
        deferred: Those that wait for their first call.
        removed: Plugins of earlier calls that are not installed any more.
        demanded: The plugins were deferred, and a call needs one of them: what they lost to others
            while they waited stays lost.

    Returns:
        The accounts with their keys and errors, and the snapshot to publish.
    """
    return _Resolver(
        standing, declarations, records, loaded, prefer, deferred, removed, demanded
    ).resolve()


class _Resolver:
    """The steps of `resolve`, and what they work on."""

    def __init__(
        self,
        standing: Snapshot,
        declarations: Sequence[Declaration],
        records: Sequence[PluginRecord],
        loaded: Sequence[Loaded],
        prefer: Preferences,
        deferred: Sequence[Deferred],
        removed: Set[Identity],
        demanded: bool,
    ) -> None:
        self.standing = standing
        self.declarations = declarations
        self.records = records
        self.prefer = prefer
        self.deferred = deferred
        self.demanded = demanded
        self.mine = _by_module(loaded)
        self.waiting = _by_module(deferred)
        self.kept = {i: r for i, r in standing.records.items() if i not in removed}
        loaded_before = {r.module for r in self.kept.values() if r.state == "loaded"}
        self.denied = {record.module for record in records if record.state == "denied"}
        self.denied -= loaded_before | self.mine.keys()
        still = {r.module for r in self.kept.values()} | {r.module for r in records}
        self.gone = {standing.records[i].module for i in removed if i in standing.records} - still
        # Deferred and denied ones own what their modules declare as much as loaded ones.
        self.owners = Owners(still)
        self.contenders: dict[Slot, list[Provider]] = {}
        self.errors: dict[str, list[Exception]] = {}
        self.providers: dict[Action, dict[str, Provider]] = {a: {} for a in standing.providers}
        again = self.mine.keys() | self.waiting.keys() | self.gone
        self.shadowed = {
            lost: reason for lost, reason in standing.shadowed.items() if lost[0] not in again
        }
        self.contested = {
            lost: error
            for lost, error in standing.contested.items()
            if lost[0] not in self.gone and (demanded or lost[0] not in again)
        }

    def resolve(self) -> Resolution:
        """Take the steps."""
        self.collect_declared()
        findings = _broken_promises(self.mine, self.contenders, self.errors)
        self.faulty = frozenset(self.errors)
        self.collect_promised()
        self.keep_standing()
        self.forget_contested()
        for slot, rivals in self.contenders.items():
            self.settle(slot, [each for each in rivals if each.plugin not in self.faulty])
        for keys in self.providers.values():  # promised, and by now declared by nobody
            for key in [k for k, p in keys.items() if p.deferred and p.plugin in self.mine]:
                del keys[key]
        done = self.accounts()
        return Resolution(
            records=done,
            snapshot=self.snapshot(done),
            modules=list(dict.fromkeys(r.module for r in done if r.state == "loaded")),
            dropped=sorted(self.gone | self.denied),
            findings=findings,
        )

    def collect_declared(self) -> None:
        """All that plugins of this call declare, by slot; and what contradicts itself."""
        known = {record.module: record for record in self.standing.records.values()}
        for each in self.declarations:
            plugin = self.owners.of(each)
            if plugin is None or plugin in self.denied:
                continue
            if plugin in self.mine:
                record = _record_for(each, self.mine[plugin])
            elif each.importer in self.mine:
                # A plugin of an earlier call, made to declare more by one that is loaded now.
                record = known.get(plugin)
                if record is not None and record.state == "denied":
                    continue
            else:
                record = None
            if record is None:
                continue
            rivals = self.contenders.setdefault((each.action, each.key), [])
            twin = next((rival for rival in rivals if rival.plugin == plugin), None)
            if twin is None:
                rivals.append(provider_of(each, plugin, record))
            elif twin.declaration is not None and twin.declaration.target is not each.target:
                foreign = [d for d in (twin.declaration, each) if not self.owners.ran(plugin, d)]
                if len(foreign) != 1:
                    self.errors.setdefault(plugin, []).append(
                        _declared_twice(plugin, twin.declaration, each)
                    )
                elif foreign[0] is twin.declaration:
                    # Another plugin's import ran this one's code once more: that changes nothing.
                    rivals[rivals.index(twin)] = provider_of(each, plugin, record)

    def collect_promised(self) -> None:
        """What deferred plugins publish competes as if it were declared."""
        for entry in self.deferred:
            for promise in entry.published:
                rivals = self.contenders.setdefault((promise.action, promise.key), [])
                if all(rival.plugin != entry.record.module for rival in rivals):
                    rivals.append(_promised(promise, entry))

    def keep_standing(self) -> None:
        """What stood before stays.

        But for what the book forgot, what is denied or gone now, and what deferred plugins promised
        that have failed since.
        """
        failing = self.faulty | {r.module for r in self.records if r.state == "failed"}
        in_book: Set[Declaration | None] = set(self.declarations)
        out = self.denied | self.gone
        for action, keys in self.standing.providers.items():
            for key, provider in keys.items():
                declared = provider.declaration
                if provider.plugin not in out and (
                    provider.plugin not in failing
                    if declared is None
                    else declared in in_book and self.owners.of(declared) not in self.denied
                ):
                    self.providers[action][key] = provider

    def forget_contested(self) -> None:
        """A deferred plugin does not win by being loaded what it lost while it waited."""
        for (plugin, slot), error in self.contested.items():
            if slot in self.contenders and plugin in self.mine:
                self.contenders[slot] = [
                    each for each in self.contenders[slot] if each.plugin != plugin
                ]
                self.errors.setdefault(plugin, []).append(error)

    def settle(self, slot: Slot, rivals: list[Provider]) -> None:
        """Give a slot to one of those who want it, or to none."""
        rivals = _without_twins(rivals)
        if not rivals:
            return
        action, key = slot
        keys = self.providers[action]
        present = keys.get(key)
        incumbent: Provider | None = None
        if present is not None:
            incumbent = next((each for each in rivals if same_provider(each, present)), None)
            if incumbent is None:
                incumbent = present
                rivals = [present, *rivals]
        winner, rule = _choose(rivals, slot, self.prefer)
        others = [each for each in rivals if each is not (winner or incumbent)]
        if winner is not None:
            keys[key] = winner
            for each in others:
                self.shadowed[each.plugin, slot] = (
                    f"{rule} gives {action}:{key} to {winner.provenance.owner}"
                )
            return
        if incumbent is not None:
            keys[key] = incumbent
        for each in others:
            # Lost by the rule of an earlier call: that still holds while the winner stands.
            before = self.standing.shadowed.get((each.plugin, slot))
            if incumbent is not None and before is not None:
                self.shadowed[each.plugin, slot] = before
                continue
            error = conflict(action, key, rivals, keeps=incumbent)
            self.contested[each.plugin, slot] = error
            self.errors.setdefault(each.plugin, []).append(error)

    def accounts(self) -> list[PluginRecord]:
        """What became of each plugin."""
        provided: dict[str, list[Provider]] = {}
        for keys in self.providers.values():
            for provider in keys.values():
                provided.setdefault(provider.plugin, []).append(provider)
        lost: dict[str, list[str]] = {}
        for (plugin, _), reason in self.shadowed.items():
            lost.setdefault(plugin, []).append(reason)
        return [
            _account(
                record,
                self.kept.get(record.identity),
                [entry for entry in self.mine.get(record.module, ()) if entry.record is record],
                [entry for entry in self.waiting.get(record.module, ()) if entry.record is record],
                provided.get(record.module, ()),
                lost.get(record.module, ()),
                self.errors.get(record.module, ()),
            )
            for record in self.records
        ]

    def snapshot(self, done: Sequence[PluginRecord]) -> Snapshot:
        """What would be registered then."""
        there = {r.distribution for r in done if r.state in ("loaded", "deferred")}
        accounts = {
            i: record
            for i, record in self.kept.items()
            if record.state != "missing" or record.distribution not in there
        }
        accounts = {i: self.account_of_another_call(record) for i, record in accounts.items()}
        accounts.update({record.identity: record for record in done})
        deferred = dict(self.standing.deferred)
        deferred.update({entry.record.identity: entry for entry in self.deferred})
        return Snapshot(
            providers=self.providers,
            records=accounts,
            findings=dict(self.standing.findings),
            shadowed=self.shadowed,
            contested=self.contested,
            deferred={
                identity: entry
                for identity, entry in deferred.items()
                if identity in accounts and accounts[identity].state == "deferred"
            },
            broken=self.broken(done),
        )

    def account_of_another_call(self, record: PluginRecord) -> PluginRecord:
        """The account of an earlier plugin, from which this call may have taken keys."""
        provides = tuple(
            (action, key)
            for action, key in record.provides
            if (provider := self.providers[action].get(key)) and provider.plugin == record.module
        )
        if provides == record.provides:
            return record
        lost = [why for (plugin, _), why in self.shadowed.items() if plugin == record.module]
        return record._replace(
            provides=provides,
            state=record.state if provides or not lost else "shadowed",
            reason="; ".join([*([record.reason] if record.reason else ()), *lost]) or None,
        )

    def broken(self, done: Sequence[PluginRecord]) -> dict[Slot, PluginRecord]:
        """Keys that deferred plugins promised and failed to bring, with the failure."""
        failed = {record.module: record for record in done if record.state == "failed"}
        over = self.mine.keys() | self.waiting.keys() | self.denied | self.gone
        broken = {
            slot: failed.get(record.module, record)
            for slot, record in self.standing.broken.items()
            if record.module in failed or record.module not in over
        }
        for action, keys in self.standing.providers.items():
            for key, provider in keys.items():
                if provider.deferred and provider.plugin in failed:
                    broken[action, key] = failed[provider.plugin]
        return {
            (action, key): record
            for (action, key), record in broken.items()
            if key not in self.providers[action]
        }


def _without_twins(rivals: Iterable[Provider]) -> list[Provider]:
    """One function that several plugins declare is one provider: that of the first."""
    found: list[Provider] = []
    for rival in rivals:
        if not any(same_provider(rival, each) for each in found):
            found.append(rival)
    return found


E = TypeVar("E", Loaded, Deferred)


def _by_module(entries: Iterable[E]) -> dict[str, list[E]]:
    found: dict[str, list[E]] = {}
    for each in entries:
        found.setdefault(each.record.module, []).append(each)
    return found


def _is_brought(provider: Provider) -> bool:
    """Whether a submodule declared this that the load of another plugin imported.

    That one publishes its keys: a distribution may have a plugin in its package and another in a
    module of the package.
    """
    declaration = provider.declaration
    return (
        declaration is not None
        and declaration.home != provider.plugin
        and declaration.importer not in (None, provider.plugin)
    )


def _broken_promises(
    mine: Mapping[str, Sequence[Loaded]],
    contenders: Mapping[Slot, Sequence[Provider]],
    errors: dict[str, list[Exception]],
) -> list[Finding]:
    """Plugins whose modules declare other keys than their metadata publishes.

    Of a plugin that was deferred, others have relied on those keys: that is its failure. Otherwise
    nobody has, and it is a finding.
    """
    if not any(entry.published for entries in mine.values() for entry in entries):
        return []
    declared: dict[str, set[Slot]] = {}
    brought: set[tuple[str, Slot]] = set()
    for slot, rivals in contenders.items():
        for rival in rivals:
            declared.setdefault(rival.plugin, set()).add(slot)
            if _is_brought(rival):
                brought.add((rival.plugin, slot))
    findings = []
    for plugin, entries in mine.items():
        published = {(k.action, k.key): k for entry in entries for k in entry.published}
        actual = declared.get(plugin, set())
        missing = sorted(published.keys() - actual)
        more = sorted(s for s in actual - published.keys() if (plugin, s) not in brought)
        if not published or not (missing or more):
            continue
        parts = []
        if missing:
            parts.append("does not declare " + ", ".join(f"{a}:{k}" for a, k in missing))
        if more:
            parts.append("declares " + ", ".join(f"{a}:{k}" for a, k in more) + " beyond that")
        record = entries[0].record
        place = next(iter(published.values())).place
        message = (
            f"its metadata publishes {', '.join(f'{a}:{k}' for a, k in sorted(published))}, and "
            f"{plugin} {' and '.join(parts)}"
        )
        remedy = (
            "Its author publishes what the module declares by `aimm-plugins entry-points --write`, "
            "and installs the distribution again."
        )
        if any(entry.lazily for entry in entries):
            errors.setdefault(plugin, []).append(
                DeclarationError(f"{record.provenance}: {message} (metadata: {place}). {remedy}")
            )
        else:
            findings.append(
                Finding(
                    code="published-keys-differ",
                    subject=str(record.provenance),
                    message=message,
                    place=place,
                    remedy=remedy,
                )
            )
    return findings


def _promised(published: Published, entry: Deferred) -> Provider:
    return Provider(
        action=published.action,
        key=published.key,
        plugin=entry.record.module,
        provenance=entry.record.provenance,
        published=published,
        load=entry.load,
    )


def _record_for(declaration: Declaration, entries: Iterable[Loaded]) -> PluginRecord | None:
    for entry in entries:
        if entry.target is None or entry.target is declaration.target:
            return entry.record
    return None


def _account(
    record: PluginRecord,
    before: PluginRecord | None,
    loaded: Sequence[Loaded],
    deferred: Sequence[Deferred],
    provided: Sequence[Provider],
    lost: Sequence[str],
    errors: Sequence[Exception],
) -> PluginRecord:
    """What became of one plugin, given all that its module provides, lost and broke."""
    if record.state == "denied" and before is not None and before.state == "loaded":
        return before._replace(
            reason=f"loaded by an earlier initialize, and now {record.reason}; to be rid of it, "
            "unload_all() and initialize again",
        )
    if record.state not in ("planned", "deferred"):
        return record
    target = loaded[0].target if loaded else None
    promised = {(k.action, k.key) for entry in deferred for k in entry.published}
    provides = tuple(
        sorted(
            (each.action, each.key)
            for each in provided
            if (
                (each.action, each.key) in promised
                if each.declaration is None
                else target is None or each.declaration.target is target
            )
        )
    )
    error = _joined(errors)
    if record.import_seconds is None and before is not None:
        record = record._replace(import_seconds=before.import_seconds, imports=before.imports)
    if error is not None and not provides:
        return record._replace(state="failed", provides=(), error=error)
    state: State = "deferred" if record.state == "deferred" else "loaded"
    if lost and not provides:
        state = "shadowed"
    reasons = [*([record.reason] if record.reason and state != "shadowed" else ()), *lost]
    return record._replace(
        state=state, provides=provides, error=error, reason="; ".join(reasons) or None
    )


def _choose(
    rivals: Sequence[Provider], slot: Slot, prefer: Preferences
) -> tuple[Provider | None, str]:
    """The one that answers, and the rule that says so; `None` for a conflict."""
    if len(rivals) == 1:
        return rivals[0], ""
    action, key = slot
    for layer in prefer:
        for rule in (f"{action}:{key}", key):
            if rule not in layer:
                continue
            wanted, place = layer[rule]
            matching = [each for each in rivals if named(each, wanted)]
            if len(matching) == 1:
                return matching[0], f'prefer {{"{rule}": {wanted}}} ({place})'
    return None, ""


def _declared_twice(plugin: str, first: Declaration, second: Declaration) -> DeclarationError:
    return DeclarationError(
        f"{plugin} declares {second.action}:{second.key} a second time; the first is at "
        f"{first.file}:{first.line}. Remove one, or give it another key.",
        file=second.file,
        line=second.line,
    )


def _joined(errors: Sequence[Exception]) -> Exception | None:
    if not errors:
        return None
    first = errors[0]
    if all(isinstance(each, PluginConflictError) for each in errors):
        return PluginConflictError(
            "\n".join(str(each) for each in errors),
            action=getattr(first, "action", None),
            key=getattr(first, "key", None),
            providers=getattr(first, "providers", ()),
        )
    return first
