# SPDX-License-Identifier: Apache-2.0
"""Reads a dump with Cinder's own versioned objects, as Python's cinderlib does.

Standard input is a dump: a list of backends, or one object. Standard output is
what Cinder's objects hold after reading it, as JSON: a list with a dictionary
for each volume, snapshot and connection. A document that Cinder refuses ends
the program with its error. It needs Debian's python3-cinder.
"""
import json
import sys

import eventlet  # noqa: F401  Cinder does not import without it
from cinder import objects

objects.register_all()

CLASSES = {
    "Volume": objects.Volume,
    "Snapshot": objects.Snapshot,
    "Connection": objects.VolumeAttachment,
}


def plain(value):
    """What a field holds, as JSON can say it."""
    if hasattr(value, "isoformat"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def fields(ovo):
    """The fields that are set and hold no other object."""
    held = {}
    for name in ovo.fields:
        if not ovo.obj_attr_is_set(name):
            continue
        value = getattr(ovo, name)
        if not hasattr(value, "obj_name"):
            held[name] = plain(value)
    return held


def related(ovo, name):
    return getattr(ovo, name) if ovo.obj_attr_is_set(name) else None


def describe(kind, ovo):
    """One object, with what it is related to."""
    told = {"class": kind, "fields": fields(ovo)}
    if kind == "Volume":
        volume_type = related(ovo, "volume_type")
        if volume_type is not None:
            told["extra_specs"] = volume_type.extra_specs
            if volume_type.qos_specs is not None:
                told["qos_specs"] = volume_type.qos_specs.specs
        for name, inner in (("snapshots", "Snapshot"), ("volume_attachment", "Connection")):
            listed = related(ovo, name)
            if listed is not None:
                told[name] = [describe(inner, o) for o in listed.objects]
    else:
        volume = related(ovo, "volume")
        if volume is not None:
            told["volume"] = describe("Volume", volume)
    return told


def read(document):
    if document["class"] == "Backend":
        return [told for volume in document["volumes"] for told in read(volume)]
    ovo = CLASSES[document["class"]].obj_from_primitive(document["ovo"])
    return [describe(document["class"], ovo)]


def main():
    loaded = json.load(sys.stdin)
    documents = loaded if isinstance(loaded, list) else [loaded]
    json.dump([told for document in documents for told in read(document)], sys.stdout)


main()
