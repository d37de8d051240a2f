// SPDX-License-Identifier: Apache-2.0

// Package librbd has package ceph from librados and librbd, which it loads when
// they are first needed: there is nothing of C to build with. Both come with
// Ceph's ceph-common; those of Nautilus (14) and later have all that is used.
package librbd

import (
	"sync"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The libraries, by the names that have not changed since 2010.
const (
	radosName = "librados.so.2"
	rbdName   = "librbd.so.1"
)

// A handle is a pointer that the libraries gave; what is behind it is theirs.
type handle uintptr

// library is the functions, as librados.h and librbd.h declare them. Those that
// give an int give 0 or more, or a negative error number.
type library struct {
	create2      func(cluster *handle, clusterName, user string, flags uint64) int32
	confReadFile func(cluster handle, path *byte) int32
	confSet      func(cluster handle, option, value string) int32
	confGet      func(cluster handle, option string, buf *byte, size uintptr) int32
	connect      func(cluster handle) int32
	shutdown     func(cluster handle)
	clusterFSID  func(cluster handle, buf *byte, size uintptr) int32
	instanceID   func(cluster handle) uint64
	monCommand   func(cluster handle, cmd **byte, n uintptr, in *byte, inLen uintptr, out **byte, outLen *uintptr, status **byte, statusLen *uintptr) int32
	bufferFree   func(buf *byte)
	ioctxCreate  func(cluster handle, pool string, io *handle) int32
	ioctxDestroy func(io handle)

	aioCreate  func(arg, complete, safe uintptr, completion *handle) int32
	aioFlush   func(io, completion handle) int32
	aioWait    func(completion handle) int32
	aioRelease func(completion handle)

	optionsCreate  func(o *handle)
	optionsDestroy func(o handle)
	optionsSet     func(o handle, option int32, value uint64) int32

	list2         func(io handle, images *imageSpec, max *uintptr) int32
	listCleanup   func(images *imageSpec, n uintptr)
	create4       func(io handle, name string, bytes uint64, o handle) int32
	clone3        func(parentIO handle, parent, snapshot string, io handle, name string, o handle) int32
	copyProgress3 func(image handle, io handle, name string, o handle, progress, arg uintptr) int32
	remove        func(io handle, name string) int32
	rename        func(io handle, from, to string) int32
	trashMove     func(io handle, name string, delay uint64) int32
	trashList     func(io handle, entries *trashInfo, n *uintptr) int32
	trashCleanup  func(entries *trashInfo, n uintptr)
	trashRemove   func(io handle, id string, force bool) int32

	open         func(io handle, name string, image *handle, snapshot *byte) int32
	openReadOnly func(io handle, name string, image *handle, snapshot *byte) int32
	closeImage   func(image handle) int32

	stat            func(image handle, info *imageInfo, size uintptr) int32
	getFeatures     func(image handle, features *uint64) int32
	getStripeUnit   func(image handle, unit *uint64) int32
	getID           func(image handle, buf *byte, size uintptr) int32
	resize2         func(image handle, bytes uint64, shrink bool, progress, arg uintptr) int32
	flattenProgress func(image handle, progress, arg uintptr) int32
	getParent       func(image handle, parent *linkedSpec, snapshot *snapSpec) int32
	linkedCleanup   func(spec *linkedSpec)
	snapCleanup     func(spec *snapSpec)
	listChildren3   func(image handle, children *linkedSpec, n *uintptr) int32
	childrenCleanup func(children *linkedSpec, n uintptr)
	watchersList    func(image handle, watchers *watcher, n *uintptr) int32
	watchersCleanup func(watchers *watcher, n uintptr)
	updateFeatures  func(image handle, mask uint64, on uint8) int32

	snapList        func(image handle, snaps *snapInfo, n *int32) int32
	snapListEnd     func(snaps *snapInfo)
	snapCreate      func(image handle, name string) int32
	snapRemove      func(image handle, name string) int32
	snapRename      func(image handle, from, to string) int32
	snapProtect     func(image handle, name string) int32
	snapUnprotect   func(image handle, name string) int32
	snapIsProtected func(image handle, name string, protected *int32) int32
	snapNamespace   func(image handle, id uint64, kind *int32) int32
	snapRollback    func(image handle, name string) int32

	metadataList   func(image handle, start string, max uint64, keys *byte, keyLen *uintptr, values *byte, valueLen *uintptr) int32
	metadataSet    func(image handle, key, value string) int32
	metadataRemove func(image handle, key string) int32

	read  func(image handle, at uint64, n uintptr, buf *byte) int64
	write func(image handle, at uint64, n uintptr, buf *byte) int64
	flush func(image handle) int32

	// progress is what the libraries call while something long goes on.
	progress uintptr
}

// The structs of librbd.h on machines of 64 bits. Their pointers lead to memory
// of the library.
type (
	imageSpec struct {
		_    *byte // id
		name *byte
	}
	linkedSpec struct {
		_                               int64 // id of the pool
		pool, namespace, imageID, image *byte
		trash                           bool
	}
	snapSpec struct {
		_    uint64 // id
		kind int32
		name *byte
	}
	snapInfo struct {
		id, size uint64
		name     *byte
	}
	trashInfo struct {
		id, name      *byte
		source        int32
		_             int64 // when it was moved there
		deferredUntil int64
	}
	watcher struct {
		addr *byte
		id   int64
		_    uint64 // cookie
	}
	imageInfo struct {
		size  uint64
		_, _  uint64 // size and number of objects
		order int32
		_     [24]byte // deprecated, as what follows
		_     int64
		_     [96]byte
	}
)

// Numbers of librbd.h.
const (
	optionFeatures = 1
	optionOrder    = 2

	trashByUser       = 0
	trashByUserParent = 4

	kindTrash = 2 // name space of a snapshot that was removed while it had clones
)

var loadOnce = sync.OnceValues(load)

func load() (*library, error) {
	rados, err := purego.Dlopen(radosName, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, missing(err)
	}
	rbd, err := purego.Dlopen(rbdName, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, missing(err)
	}
	var l library
	for _, f := range []struct {
		from  uintptr
		names map[string]any
	}{
		{rados, map[string]any{
			"rados_create2": &l.create2, "rados_conf_read_file": &l.confReadFile, "rados_conf_set": &l.confSet,
			"rados_conf_get": &l.confGet, "rados_connect": &l.connect, "rados_shutdown": &l.shutdown,
			"rados_cluster_fsid": &l.clusterFSID, "rados_get_instance_id": &l.instanceID,
			"rados_mon_command": &l.monCommand, "rados_buffer_free": &l.bufferFree,
			"rados_ioctx_create": &l.ioctxCreate, "rados_ioctx_destroy": &l.ioctxDestroy,
			"rados_aio_create_completion": &l.aioCreate, "rados_aio_flush_async": &l.aioFlush,
			"rados_aio_wait_for_complete": &l.aioWait, "rados_aio_release": &l.aioRelease,
		}},
		{rbd, map[string]any{
			"rbd_image_options_create": &l.optionsCreate, "rbd_image_options_destroy": &l.optionsDestroy,
			"rbd_image_options_set_uint64": &l.optionsSet,
			"rbd_list2":                    &l.list2, "rbd_image_spec_list_cleanup": &l.listCleanup, "rbd_create4": &l.create4,
			"rbd_clone3": &l.clone3, "rbd_copy_with_progress3": &l.copyProgress3, "rbd_remove": &l.remove,
			"rbd_rename": &l.rename, "rbd_trash_move": &l.trashMove, "rbd_trash_list": &l.trashList,
			"rbd_trash_list_cleanup": &l.trashCleanup, "rbd_trash_remove": &l.trashRemove,
			"rbd_open": &l.open, "rbd_open_read_only": &l.openReadOnly, "rbd_close": &l.closeImage,
			"rbd_stat": &l.stat, "rbd_get_features": &l.getFeatures, "rbd_get_stripe_unit": &l.getStripeUnit,
			"rbd_get_id": &l.getID, "rbd_resize2": &l.resize2, "rbd_flatten_with_progress": &l.flattenProgress,
			"rbd_get_parent": &l.getParent, "rbd_linked_image_spec_cleanup": &l.linkedCleanup,
			"rbd_snap_spec_cleanup": &l.snapCleanup, "rbd_list_children3": &l.listChildren3,
			"rbd_linked_image_spec_list_cleanup": &l.childrenCleanup, "rbd_watchers_list": &l.watchersList,
			"rbd_watchers_list_cleanup": &l.watchersCleanup, "rbd_update_features": &l.updateFeatures,
			"rbd_snap_list": &l.snapList, "rbd_snap_list_end": &l.snapListEnd, "rbd_snap_create": &l.snapCreate,
			"rbd_snap_remove": &l.snapRemove, "rbd_snap_rename": &l.snapRename, "rbd_snap_protect": &l.snapProtect,
			"rbd_snap_unprotect": &l.snapUnprotect, "rbd_snap_is_protected": &l.snapIsProtected,
			"rbd_snap_get_namespace_type": &l.snapNamespace, "rbd_snap_rollback": &l.snapRollback,
			"rbd_metadata_list": &l.metadataList, "rbd_metadata_set": &l.metadataSet,
			"rbd_metadata_remove": &l.metadataRemove,
			"rbd_read":            &l.read, "rbd_write": &l.write, "rbd_flush": &l.flush,
		}},
	} {
		for name, function := range f.names {
			address, err := purego.Dlsym(f.from, name)
			if err != nil {
				return nil, missing(err)
			}
			purego.RegisterFunc(function, address)
		}
	}
	l.progress = purego.NewCallback(onProgress)
	return &l, nil
}

func missing(err error) error {
	return fault.Errorf(fault.ErrPrecondition, "Ceph's client libraries are needed (ceph-common, 14 or later): %w", err)
}

// number is what a call failed with, 0 if it did not.
func number(r int32) syscall.Errno {
	if r >= 0 {
		return 0
	}
	return syscall.Errno(-r)
}

// text copies a text of C.
func text(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// optional is a text for C; nil if it is empty.
func optional(s string) *byte {
	if s == "" {
		return nil
	}
	return &append([]byte(s), 0)[0]
}

// buffered has a call fill a buffer, and tries larger ones.
func buffered(call func(buf *byte, size uintptr) int32, tooSmall syscall.Errno) (string, syscall.Errno) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		e := number(call(&buf[0], uintptr(size)))
		if e == 0 {
			return text(&buf[0]), 0
		}
		if e != tooSmall || size > 1<<20 {
			return "", e
		}
	}
}

// listed has a call fill a list, and tries longer ones: ERANGE says that it is
// too short. n comes back as how long the list is, or has to be.
func listed[T any](call func(list *T, n *uintptr) int32) ([]T, syscall.Errno) {
	for size := uintptr(16); ; {
		list := make([]T, size)
		n := size
		switch e := number(call(&list[0], &n)); e {
		case 0:
			return list[:min(n, size)], 0
		case syscall.ERANGE:
			size = max(2*size, n)
		default:
			return nil, e
		}
	}
}
