# SPDX-License-Identifier: Apache-2.0
"""Cinder's own SolidFire driver, unmodified, at the end of a pipe.

Each line of standard input is a command in JSON. {"open": OPTIONS} opens a driver
with options as they stand in cinder.conf, and gives its number. {"driver": N,
"method": NAME, "args": [...]} calls a method of that, or of its target driver after
"target_driver.". Each line of standard output is an answer: {"result": ...}, or
{"error": CLASS, "text": ...} of an exception. The first, before any command, is the
driver's version.

An argument of one key that begins with a capital letter is an object of Cinder's:
{"Volume": OVO}, {"Snapshot": OVO, of "volume": OVO}, {"Context": null}. The type of a
volume is what Cinder's database would have of it; {"Type": OVO} is the type of a
volume as retype gets it. It needs Debian's python3-cinder.
"""
import json
import os
import sys

import eventlet  # noqa: F401  Cinder does not import without it
from cinder import context
from cinder import objects
from cinder.volume import configuration
from cinder.volume import driver as volume_driver
from cinder.volume import qos_specs
from cinder.volume import volume_types
from cinder.volume import volume_utils
from cinder.volume.drivers import solidfire
from cinder.volume.drivers.san import san
from oslo_config import cfg

objects.register_all()

DRIVERS = []
TYPES = {}
QOS = {}

# What the driver asks the database for, and not the array.
volume_types.get_volume_type = lambda ctxt, id, expected_fields=None: TYPES[id]
qos_specs.get_qos_specs = lambda ctxt, id: QOS[id]
volume_utils.is_group_a_cg_snapshot_type = lambda group_or_snap: True


def open_driver(options):
    group = f"array-{len(DRIVERS)}"
    config = configuration.Configuration(
        volume_driver.volume_opts + san.san_opts + solidfire.sf_opts, config_group=group)
    for name, value in options.items():
        cfg.CONF.set_override(name, value, group=group)
    driver = solidfire.SolidFireDriver(configuration=config)
    driver.do_setup(context.get_admin_context())
    driver.check_for_setup_error()
    driver.set_initialized()
    DRIVERS.append(driver)
    return len(DRIVERS) - 1


def type_of(volume):
    """The type of a volume, which is from now on in the database."""
    held = volume.volume_type
    if held.qos_specs is not None:
        QOS[held.qos_specs_id] = {"specs": held.qos_specs.specs}
    TYPES[held.id] = {"id": held.id, "extra_specs": held.extra_specs or {}, "qos_specs_id": held.qos_specs_id}
    return TYPES[held.id]


def volume_of(primitive):
    volume = objects.Volume.obj_from_primitive(primitive)
    if volume.obj_attr_is_set("volume_type") and volume.volume_type is not None:
        type_of(volume)
    return volume


def argument(value):
    if isinstance(value, list):
        return [argument(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "Context" in value:
        return context.get_admin_context()
    if "Volume" in value:
        return volume_of(value["Volume"])
    if "Type" in value:
        return type_of(volume_of(value["Type"]))
    if "Snapshot" in value:
        snapshot = objects.Snapshot.obj_from_primitive(value["Snapshot"])
        snapshot.volume = volume_of(value["volume"])
        return snapshot
    return value


def run(command):
    if "open" in command:
        return open_driver(command["open"])
    target = DRIVERS[command["driver"]]
    for name in command["method"].split("."):
        target = getattr(target, name)
    return target(*[argument(value) for value in command["args"]])


def main():
    # Whatever prints to standard output is not an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(answer):
        print(json.dumps(answer, default=str), file=answers, flush=True)

    tell({"result": solidfire.SolidFireDriver.VERSION})
    for line in sys.stdin:
        try:
            tell({"result": run(json.loads(line))})
        except Exception as error:  # all of them are answers
            tell({"error": type(error).__name__, "text": str(error)})


main()
