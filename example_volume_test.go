// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gocinder/cinderlib"
)

func ExampleBackend_CreateVolume() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()

	volume, err := backend.CreateVolume(ctx, 10,
		cinderlib.WithName("db"),
		cinderlib.WithDescription("tables of the shop"),
		cinderlib.WithPool(backend.PoolNames()[0]),
		cinderlib.WithMetadata(map[string]string{"owner": "shop"}),
		cinderlib.WithExtraSpecs(map[string]string{"tier": "fast"}),
		cinderlib.WithQoSSpecs(map[string]string{"maxIOPS": "500"}),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Name(), volume.Size(), volume.Status())
	fmt.Println(volume.Metadata(), volume.ExtraSpecs(), volume.QoSSpecs())
	fmt.Println(volume.NameOnArray() == "volume-"+volume.ID())
	// Output:
	// db 10 available
	// map[owner:shop] map[tier:fast] map[maxIOPS:500]
	// true
}

// A caller that brings its own id can repeat a create whose answer it lost.
func ExampleWithID() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()

	const id = "6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11"
	for range 2 {
		volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithID(id))
		if cinderlib.CodeOf(err) == cinderlib.CodeAlreadyExists {
			volume = cinderlib.Resource(err).(*cinderlib.Volume)
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(volume.ID(), volume.Size(), volume.Status())
	}
	// Output:
	// 6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11 1 available
	// 6f0f2b0c-4a55-4f7c-9a43-0d2b6a0f4c11 1 available
}

func ExampleVolume_Extend() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}

	bytes, err := volume.Extend(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Size(), bytes)
	_, err = volume.Extend(ctx, 2)
	fmt.Println(cinderlib.CodeOf(err), volume.Size())
	// Output:
	// 3 3221225472
	// InvalidArgument 3
}

func ExampleVolume_Clone() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}

	clone, err := volume.Clone(ctx, cinderlib.WithName("db-test"), cinderlib.WithSize(2))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(clone.Name(), clone.Size(), clone.Status())
	fmt.Println(clone.Info().SourceVolumeID == volume.ID())
	// Output:
	// db-test 2 available
	// true
}

func ExampleVolume_Update() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}

	err = volume.Update(ctx, cinderlib.WithName("db"), cinderlib.WithMetadata(map[string]string{"owner": "shop"}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Name(), volume.Metadata())
	// Output: db map[owner:shop]
}

func ExampleVolume_CreateSnapshot() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}

	snapshot, err := volume.CreateSnapshot(ctx, cinderlib.WithName("before the upgrade"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Name(), snapshot.VolumeSize(), snapshot.Status())
	snapshots, err := volume.Snapshots(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(snapshots))
	fmt.Println(cinderlib.CodeOf(volume.Delete(ctx)))
	if err := snapshot.Delete(ctx); err != nil {
		log.Fatal(err)
	}
	if err := volume.Delete(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// before the upgrade 1 available
	// 1
	// FailedPrecondition
}

func ExampleSnapshot_CreateVolume() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithName("db"))
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := volume.CreateSnapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}

	restored, err := snapshot.CreateVolume(ctx, cinderlib.WithName("db-restored"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(restored.Name(), restored.Size(), restored.Status())
	fmt.Println(restored.Info().SnapshotID == snapshot.ID())
	// Output:
	// db-restored 1 available
	// true
}

func ExampleVolume_Retype() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithExtraSpecs(map[string]string{"tier": "silver"}))
	if err != nil {
		log.Fatal(err)
	}

	qos := map[string]string{"minIOPS": "500", "maxIOPS": "1000", "burstIOPS": "1000"}
	if backend.Capabilities().Retype {
		if err := volume.Retype(ctx, cinderlib.WithQoSSpecs(qos)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(volume.ExtraSpecs(), volume.QoSSpecs())
	// Output: map[tier:silver] map[burstIOPS:1000 maxIOPS:1000 minIOPS:500]
}

func ExampleVolume_Revert() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := volume.CreateSnapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}

	if backend.Capabilities().Revert {
		if err := volume.Revert(ctx, snapshot); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(volume.Status(), snapshot.Status())
	// Output: available available
}
