// SPDX-License-Identifier: Apache-2.0

package connector

// Properties describe a host to an array: the connector dictionary of os-brick.
// They are plain data, to be carried from the host that attaches to the program
// that connects.
type Properties struct {
	Platform         string   `json:"platform,omitempty"`
	OSType           string   `json:"os_type,omitempty"`
	IP               string   `json:"ip,omitempty"`
	Host             string   `json:"host,omitempty"`
	Multipath        bool     `json:"multipath,omitempty"`
	EnforceMultipath bool     `json:"enforce_multipath,omitempty"`
	Initiator        string   `json:"initiator,omitempty"` // iSCSI name
	WWPNs            []string `json:"wwpns,omitempty"`     // Fibre Channel ports
	WWNNs            []string `json:"wwnns,omitempty"`     // Fibre Channel nodes
	NQN              string   `json:"nqn,omitempty"`
	UUID             string   `json:"uuid,omitempty"`        // of the root file system
	SystemUUID       string   `json:"system uuid,omitempty"` // of the machine
	DoLocalAttach    bool     `json:"do_local_attach,omitempty"`

	Extra map[string]any `json:"-"` // what else its JSON has
}
