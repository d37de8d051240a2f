#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes, reads and fills a database with Cinder itself, as Python's cinderlib does.

cinder-db.py make URL [REVISION]  runs Cinder's own migrations, up to an Alembic
                                  revision or to a version of the older kind (132
                                  is Train), and adds cinderlib's table
cinder-db.py write URL            adds sample rows through Cinder, then reads
cinder-db.py read URL             prints as JSON what Cinder's objects hold

URL is SQLAlchemy's: sqlite:////path or mysql+pymysql://user:password@host/database.
It needs Debian's python3-cinder, and python3-pymysql for MySQL.
"""
import datetime
import itertools
import json
import os
import sys
from unittest import mock

import eventlet  # noqa: F401  Cinder does not import without it
from cinder import context
from cinder import db
from cinder import objects
from cinder.db import migration
from cinder.db.sqlalchemy import api as db_api
from cinder.db.sqlalchemy import models
from migrate.versioning import api as migrate_api
from oslo_config import cfg
from oslo_db.sqlalchemy import models as oslo_models
import sqlalchemy as sa

objects.register_all()

CONTEXT = context.RequestContext(user_id="cinderlib", project_id="cinderlib", is_admin=True)


class KeyValue(models.BASE, oslo_models.ModelBase):
    """The table that Python's cinderlib adds to Cinder's."""
    __tablename__ = "cinderlib_persistence_key_value"
    key = sa.Column(sa.String(255), primary_key=True)
    value = sa.Column(sa.Text)


def make(url, revision=None):
    if url.get_backend_name() == "mysql":
        name = url.database.replace("`", "``")
        with sa.create_engine(url.set(database="")).connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8")
    if revision is not None and revision.isdigit():
        make_old(int(revision))
    else:
        migration.db_sync(revision)
    models.BASE.metadata.create_all(db_api.get_engine(), tables=[KeyValue.__table__])


def make_old(version):
    """The migrations from before Alembic.

    Cinder has merged those up to 135 into one. Of 132 (Train's last) to 134 the
    tables are the same ones, so that only the number has to be put right.
    """
    if not 132 <= version <= 145:
        sys.exit(f"no version {version}: there are 132 to 145")
    engine, repository = db_api.get_engine(), migration._find_migrate_repo()
    migrate_api.version_control(engine, repository, migration.MIGRATE_INIT_VERSION)
    migrate_api.upgrade(engine, repository, max(version, 135))
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE migrate_version SET version = {version}"))


def plain(ovo):
    """The fields that are set and hold no other object, as JSON can say them."""
    held = {}
    for name in ovo.fields:
        value = getattr(ovo, name) if ovo.obj_attr_is_set(name) else ovo
        if hasattr(value, "isoformat"):
            value = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if not hasattr(value, "obj_name"):
            held[name] = value
    return held


def describe_volume(volume):
    volume.glance_metadata  # these load when they are asked for
    volume.metadata, volume.admin_metadata
    told = plain(volume)
    told["volume_type"] = None
    if volume.volume_type is not None:
        qos_specs = volume.volume_type.qos_specs
        told["volume_type"] = plain(volume.volume_type)
        told["volume_type"]["extra_specs"] = volume.volume_type.extra_specs
        told["volume_type"]["qos_specs"] = qos_specs and plain(qos_specs)
    return told


def describe_snapshot(snapshot):
    snapshot.metadata
    return plain(snapshot)


def read():
    def sort(told):
        return sorted(told, key=lambda one: one["id"])

    key_values = {}
    if sa.inspect(db_api.get_engine()).has_table(KeyValue.__tablename__):
        with db_api.main_context_manager.reader.using(CONTEXT) as session:
            key_values = {kv.key: kv.value for kv in session.query(KeyValue)}
    document = {
        "volumes": sort(map(describe_volume, objects.VolumeList.get_all(CONTEXT))),
        "snapshots": sort(map(describe_snapshot, objects.SnapshotList.get_all(CONTEXT, {}))),
        "attachments": sort(map(plain, objects.VolumeAttachmentList.get_all(CONTEXT))),
        "key_values": key_values,
    }
    print(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True))


def ident(n):
    return f"00000000-0000-4000-8000-{n:012}"


def write():
    default_type = db.volume_type_get_by_name(CONTEXT, "__DEFAULT__")["id"]
    common = {
        "created_at": datetime.datetime(2024, 1, 31, 12, 0, 0),
        "user_id": CONTEXT.user_id,
        "project_id": CONTEXT.project_id,
        "display_description": "wörds, слова, 言葉",
        "use_quota": True,
    }
    volume = dict(
        common, size=1, host="client@sample#sample", availability_zone="nova", status="available",
        attach_status="detached", bootable=False, multiattach=False, volume_type_id=default_type)

    db.volume_create(CONTEXT, dict(
        volume, id=ident(1), display_name="ñandú", size=10, status="in-use", attach_status="attached",
        bootable=True, multiattach=True, provider_location="192.0.2.10:3260,1 iqn.2010-10.org:ñ 1",
        provider_auth="CHAP user secret", provider_id="p-1", launched_at=datetime.datetime(2024, 2, 29, 23, 59, 59),
        shared_targets=False, previous_status="attaching",
        metadata={"purpose": "sample", "ключ": "значение", "empty": ""}, admin_metadata={"readonly": "False"}))
    db.volume_glance_metadata_create(CONTEXT, ident(1), "image_name", "bild ø")

    # The root of the QoS gets the first of these ids, as cinderlib would have it.
    ids = itertools.chain([ident(2)], map(ident, itertools.count(21)))
    with mock.patch("uuid.uuid4", side_effect=ids):
        qos = db.qos_specs_create(CONTEXT, {
            "name": ident(2), "consumer": "back-end", "specs": {"maxIOPS": "500", "größe": "groß"}})
    db.volume_type_create(CONTEXT, {
        "id": ident(2), "name": ident(2), "is_public": True,
        "extra_specs": {"thin": "true", "ключ": "значение"}})
    db.qos_specs_associate(CONTEXT, qos["id"], ident(2))
    db.volume_create(CONTEXT, dict(
        volume, id=ident(2), display_name="other", size=20, volume_type_id=ident(2), snapshot_id=ident(11)))

    db.volume_create(CONTEXT, dict(volume, id=ident(3), display_name="deleted", metadata={"k": "v"}))
    db.volume_destroy(CONTEXT, ident(3))

    db.snapshot_create(CONTEXT, dict(
        common, id=ident(11), volume_id=ident(1), display_name="schnappschuß", volume_size=10,
        status="available", progress="100%", provider_location="snap-1", volume_type_id=default_type,
        metadata={"k": "v", "ключ": "значение"}))

    connector = {"host": "client-ñ", "ip": "192.0.2.20", "multipath": False, "initiator": None}
    db.volume_attach(CONTEXT, {
        "id": ident(12), "created_at": common["created_at"], "volume_id": ident(1),
        "attached_host": "client-ñ", "mountpoint": "/dev/sdz", "attach_mode": "rw", "attach_status": "attached",
        "attach_time": datetime.datetime(2024, 2, 1, 0, 0, 1), "connector": json.dumps(connector),
        "connection_info": json.dumps({
            "conn": {"driver_volume_type": "iscsi", "data": {"target_lun": 1, "discard": False}},
            "connector": connector})})

    with db_api.main_context_manager.writer.using(CONTEXT) as session:
        session.add(KeyValue(key="clé", value='{"é": [1, "日本語"]}'))
        session.add(KeyValue(key="null", value=None))


def main():
    command, *arguments = sys.argv[1:] or [""]
    if command not in ("make", "write", "read") or len(arguments) not in (1, 1 + (command == "make")):
        sys.exit(__doc__)
    url = sa.engine.make_url(arguments[0])
    if not url.database:
        sys.exit("the URL names no database")
    if command != "make" and url.get_backend_name() == "sqlite" and not os.path.exists(url.database):
        sys.exit(f"there is no {url.database}")
    cfg.CONF.set_override("connection", arguments[0], "database")
    cfg.CONF.set_override("max_retries", 0, "database")
    db_api.configure(cfg.CONF)
    if command == "make":
        make(url, *arguments[1:])
        return
    if command == "write":
        write()
    read()


try:
    main()
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
