# SPDX-License-Identifier: Apache-2.0
#
# The objects of kube_api.py, their revisions and the history of changes, by
# "API concepts" of the Kubernetes documentation: one counter of revisions for
# all resources; a list is that of one revision, pages included; a watch begins
# after one; what was compacted away can be had no more.
import base64
import bisect
import collections
import json
import re

# An object at a revision. text is its JSON; instead of the leading
# {"apiVersion":…,"kind":… it has nothing, since each version has its own.
Entry = collections.namedtuple("Entry", "key labels fields text revision")
# One change: the entry before, or None, and the one after; kind is ADDED,
# MODIFIED or DELETED. The entry after a deletion is the object as it went.
Change = collections.namedtuple("Change", "revision resource kind before after")
# A resource: names as in URLs and in objects, and the versions that it is
# served in, the preferred one first. The core group has the name "".
Resource = collections.namedtuple("Resource", "name group kind versions")

RESOURCES = {
    r.name: r for r in (
        Resource("pods", "", "Pod", ["v1"]),
        Resource("batchsandboxes", "sandbox.opensandbox.io", "BatchSandbox",
                 ["v1alpha1"]),
        Resource("sandboxes", "agents.x-k8s.io", "Sandbox",
                 ["v1beta1", "v1alpha1"]))}


class Gone(Exception):
    """A revision, or the list that a token goes on with, is compacted away."""


class BadRequest(Exception):
    """A parameter that is none; its text says why."""


class Store:
    def __init__(self):
        self.revision = 1
        self.floor = 0            # watches and lists from below it are Gone
        self.entries = {name: {} for name in RESOURCES}
        self.history = []         # changes after floor
        self.listeners = set()    # called with each change
        # (resource, revision) -> sorted keys, and their entries
        self.snapshots = collections.OrderedDict()

    def put(self, resource, key, obj):
        """Make the object, or replace it. What its metadata lacks is filled
        in; the rest is taken as it is, however wrong."""
        before = self.entries[resource].get(key)
        self.revision += 1
        start = ""
        if isinstance(obj, dict):
            start = ","
            obj = {k: v for k, v in obj.items()
                   if k not in ("apiVersion", "kind")}
            if isinstance(obj.setdefault("metadata", {}), dict):
                namespace, name = key.split("/", 1)
                obj["metadata"] = {
                    "name": name, "namespace": namespace,
                    "uid": "00000000-0000-4000-8000-%012d" % self.revision,
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                    **obj["metadata"], "resourceVersion": str(self.revision)}
        self._change(resource, "MODIFIED" if before else "ADDED", before,
                     Entry(key, labels_of(obj), fields_of(key, obj),
                           start + json.dumps(obj, separators=(",", ":"))
                           [len(start):], self.revision))

    def delete(self, resource, key):
        before = self.entries[resource].get(key)
        if not before:
            return
        self.revision += 1
        text = before.text.replace(
            '"resourceVersion":"%d"' % before.revision,
            '"resourceVersion":"%d"' % self.revision, 1)
        self._change(resource, "DELETED", before,
                     before._replace(text=text, revision=self.revision))

    def compact(self):
        """Forget how the present came to be."""
        self.floor = self.revision
        self.history.clear()
        self.snapshots.clear()

    def _change(self, resource, kind, before, after):
        if kind == "DELETED":
            del self.entries[resource][after.key]
        else:
            self.entries[resource][after.key] = after
        change = Change(self.revision, resource, kind, before, after)
        self.history.append(change)
        for listener in list(self.listeners):
            listener(change)

    def changes_after(self, revision, resource):
        if revision < self.floor:
            raise Gone
        first = bisect.bisect_right(self.history, revision,
                                    key=lambda change: change.revision)
        return [c for c in self.history[first:] if c.resource == resource]

    def at(self, revision, resource):
        """The keys of one revision, sorted, and their entries."""
        if revision < self.floor:
            raise Gone
        kept = self.snapshots.get((resource, revision))
        if kept:
            return kept
        entries = dict(self.entries[resource])
        for change in reversed(self.changes_after(revision, resource)):
            if change.before:
                entries[change.before.key] = change.before
            else:
                entries.pop(change.after.key, None)
        keys = sorted(entries)
        self.snapshots[resource, revision] = keys, [entries[k] for k in keys]
        if len(self.snapshots) > 8:
            self.snapshots.popitem(last=False)
        return self.snapshots[resource, revision]

    def page(self, resource, revision, start, limit, wanted):
        """The next entries from the key start on, of which wanted(entry) is
        true (None: all): (entries, the key that the next page starts with or
        None, how many remain or None where some are not wanted)."""
        keys, entries = self.at(revision, resource)
        page = []
        for n in range(bisect.bisect_left(keys, start), len(keys)):
            if wanted and not wanted(entries[n]):
                continue
            if limit and len(page) == limit:
                return page, keys[n], None if wanted else len(keys) - n
            page.append(entries[n])
        return page, None, None


def labels_of(obj):
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return labels if isinstance(labels, dict) else {}


def fields_of(key, obj):
    namespace, name = key.split("/", 1)
    spec = obj.get("spec") if isinstance(obj, dict) else None
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return {"metadata.name": name, "metadata.namespace": namespace,
            "spec.nodeName": node or ""}


def token_make(revision, start):
    text = json.dumps({"rv": revision, "start": start})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def token_read(token):
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        value = json.loads(text)
        return int(value["rv"]), str(value["start"])
    except (ValueError, KeyError, TypeError):
        raise BadRequest("continue key is not valid")


TERM = re.compile(r"""\s*(?:
    (?P<in_key>[\w./-]+)\s+(?P<not>not)?in\s*\((?P<values>[^()]*)\)
  | (?P<key>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)
  | (?P<absent>!)?\s*(?P<bare>[\w./-]+)
)\s*(?:,|$)""", re.X)


def selector(text):
    """A label selector as a function of labels."""
    terms = []
    at = 0
    while at < len(text):
        m = TERM.match(text, at)
        if not m:
            raise BadRequest("unable to parse requirement: " + text)
        at = m.end()
        if m["in_key"]:
            values = {v.strip() for v in m["values"].split(",")}
            terms.append((m["in_key"], values, bool(m["not"])))
        elif m["key"]:
            terms.append((m["key"], {m["value"]}, m["op"] == "!="))
        else:
            terms.append((m["bare"], None, bool(m["absent"])))

    def matches(labels):
        for key, values, negated in terms:
            found = key in labels and (values is None or labels[key] in values)
            if found == negated:
                return False
        return True
    return matches


def field_selector(text):
    """A field selector as a function of the fields that pods have."""
    terms = []
    for term in filter(None, text.split(",")):
        m = re.fullmatch(r"(metadata\.name|metadata\.namespace|spec\.nodeName)"
                         r"(==|=|!=)(.*)", term)
        if not m:
            raise BadRequest("field label not supported: " + term)
        terms.append((m[1], m[3], m[2] == "!="))
    return lambda fields: all((fields[name] == value) != negated
                              for name, value, negated in terms)
