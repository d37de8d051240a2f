// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
)

func ExampleVolume_Attach() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}

	connection, err := volume.Attach(ctx, cinderlib.WithMountpoint("/srv/db"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(connection.Path() != "", connection.AttachMode(), volume.Status())
	if err := volume.Detach(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(connection.Path() != "", volume.Status())
	// Output:
	// true rw in-use
	// false available
}

// A controller has the backend, a node has nothing but the library. The node
// says who it is, the controller connects the volume to it, and the connection
// goes to the node as JSON.
func ExampleVolume_Connect() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}

	// On the node.
	node, err := cinderlib.New(cinderlib.WithMissingBackends(), cinderlib.WithHostName("node-1"))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)
	properties, err := node.HostProperties(ctx, connector.PropertiesOptions{})
	if err != nil {
		log.Fatal(err)
	}
	who, err := json.Marshal(properties)
	if err != nil {
		log.Fatal(err)
	}

	// On the controller.
	var host connector.Properties
	if err := json.Unmarshal(who, &host); err != nil {
		log.Fatal(err)
	}
	connection, err := volume.Connect(ctx, &host)
	if err != nil {
		log.Fatal(err)
	}
	how, err := json.Marshal(connection)
	if err != nil {
		log.Fatal(err)
	}

	// On the node.
	there, err := node.LoadConnection(ctx, how)
	if err != nil {
		log.Fatal(err)
	}
	if err := there.Attach(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(there.Protocol(), there.Attached(), there.BackendName(), there.Backend())
	if err := there.Detach(ctx); err != nil {
		log.Fatal(err)
	}

	// On the controller.
	if err := connection.Disconnect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(volume.Status())
	// Output:
	// local true disk <nil>
	// available
}

func ExampleVolume_Connections() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()
	volume, err := backend.CreateVolume(ctx, 1, cinderlib.WithMultiAttach(true))
	if err != nil {
		log.Fatal(err)
	}

	for _, name := range []string{"node-1", "node-2"} {
		host := &connector.Properties{Host: name}
		if _, err := volume.Connect(ctx, host, cinderlib.WithAttachMode(connector.ReadOnly)); err != nil {
			log.Fatal(err)
		}
	}
	connections, err := volume.Connections(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, connection := range connections {
		if err := connection.Disconnect(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println(connection.ConnectorInfo().Host, connection.AttachMode(), volume.Status())
	}
	// Output:
	// node-1 ro in-use
	// node-2 ro available
}
