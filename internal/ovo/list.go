// SPDX-License-Identifier: Apache-2.0

package ovo

// keyObjects is the only field of a list object.
const keyObjects = "objects"

// appendHead writes an envelope up to the first field of its data.
func appendHead(dst []byte, name, version string) []byte {
	dst = append(dst, `{"`+keyName+`":`...)
	dst = AppendString(dst, name)
	dst = append(dst, `,"`+keyNamespace+`":"`+Namespace+`","`+keyVersion+`":`...)
	dst = AppendString(dst, version)
	return append(dst, `,"`+keyData+`":{`...)
}

// AppendList writes a list object (SnapshotList, VolumeAttachmentList) of n
// objects, each of which item writes.
func AppendList(dst []byte, name, version string, n int, item func(dst []byte, i int) []byte) []byte {
	dst = appendHead(dst, name, version)
	dst = append(dst, `"`+keyObjects+`":[`...)
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item(dst, i)
	}
	return append(dst, "]}}"...)
}

// DecodeList reads a list object of that name; item reads each of its objects.
// Lists of any version 1 are read: none of their versions changed their form.
func DecodeList(d *Decoder, name string, item func(d *Decoder) error) error {
	return decodeEnvelope(d, name, "1.0", func(string) error {
		found := false
		err := d.Object(func(key []byte) error {
			if string(key) != keyObjects {
				return d.Skip()
			}
			found = true
			return d.Array(func(int) error { return item(d) })
		})
		if err == nil && !found {
			return errorf(d.Offset(), "%s is missing", keyObjects)
		}
		return err
	})
}
