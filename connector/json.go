// SPDX-License-Identifier: Apache-2.0

package connector

import "github.com/gocinder/cinderlib/internal/ovo"

// The keys of ConnInfo.
const (
	keyProtocol = "driver_volume_type"
	keyData     = "data"
)

// MarshalJSON writes the connection info as Cinder has it. The secrets in it are
// in clear.
func (i ConnInfo) MarshalJSON() ([]byte, error) {
	dst := append(make([]byte, 0, 512), '{')
	if p, odd := i.extra[keyProtocol]; i.Protocol == "" && odd {
		dst, _ = ovo.AppendValue(key(dst, keyProtocol), p)
	} else if i.Protocol != "" {
		dst = ovo.AppendString(key(dst, keyProtocol), i.Protocol)
	}
	var err error
	if i.Data != nil {
		dst, err = appendData(key(dst, keyData), i.Data)
	} else if d, odd := i.extra[keyData]; odd {
		dst, _ = ovo.AppendValue(key(dst, keyData), d)
	}
	dst, _ = appendRest(dst, i.extra, func(k string) bool { return k == keyProtocol || k == keyData })
	return append(dst, '}'), err
}

// UnmarshalJSON reads any JSON object. Data gets the type of the protocol, and
// RawData where the protocol has none or its data does not fit the type: then
// the volume cannot be attached with it, but nothing of it is lost.
func (i *ConnInfo) UnmarshalJSON(text []byte) error {
	object, err := readObject(text)
	if err != nil {
		return err
	}
	*i = ConnInfo{extra: object}
	if p, ok := object[keyProtocol].(string); ok && p != "" {
		i.Protocol = p
		delete(object, keyProtocol)
	}
	if data, ok := object[keyData].(map[string]any); ok {
		i.Data = dataOf(i.Protocol, data)
		delete(object, keyData)
	}
	if len(object) == 0 {
		i.extra = nil
	}
	return nil
}

// dataOf makes the Data of a protocol, or RawData where that cannot say what is
// in the object. It takes over the object.
func dataOf(protocol string, object map[string]any) Data {
	switch protocol {
	case ProtocolISCSI, ProtocolISER:
		return typedOrRaw(new(ISCSIData), iscsiKeys, object)
	case ProtocolFC:
		return typedOrRaw(new(FCData), fcKeys, object)
	case ProtocolRBD:
		return typedOrRaw(new(RBDData), rbdKeys, object)
	case ProtocolLocal:
		return typedOrRaw(new(LocalData), localKeys, object)
	}
	return newRaw(object)
}

// typed is a Data with fields of its own.
type typed[T any] interface {
	*T
	Data
}

func typedOrRaw[T any, P typed[T]](d P, keys table[T], object map[string]any) Data {
	if bad := load[T](d, keys, object); bad != "" {
		return newRaw(object)
	}
	return d
}

// load fills a Data from an object, which it takes over, unless a value is of a
// wrong type: then it returns its key and leaves the object as it is.
func load[T any, P typed[T]](d P, keys table[T], object map[string]any) (bad string) {
	c := d.Common()
	own, common := keys.load(d, object), commonKeys.load(c, object)
	if own.bad != "" {
		return own.bad
	}
	if common.bad != "" {
		return common.bad
	}
	c.missing = own.missing
	c.Extra = commonKeys.rest(keys.rest(object, own), common)
	return ""
}

// newRaw takes over any object.
func newRaw(object map[string]any) *RawData {
	d := new(RawData)
	d.Values = commonKeys.rest(object, commonKeys.load(&d.Shared, object))
	for _, m := range commonKeys {
		x, odd := d.Values[m.name]
		if !odd {
			continue
		}
		if d.Shared.Extra == nil {
			d.Shared.Extra = make(map[string]any)
		}
		d.Shared.Extra[m.name] = x
		delete(d.Values, m.name)
	}
	if len(d.Values) == 0 {
		d.Values = nil
	}
	return d
}

// appendData writes any Data; a nil pointer is null.
func appendData(dst []byte, d Data) ([]byte, error) {
	switch d := d.(type) {
	case *ISCSIData:
		return appendTyped(dst, d, iscsiKeys)
	case *FCData:
		return appendTyped(dst, d, fcKeys)
	case *RBDData:
		return appendTyped(dst, d, rbdKeys)
	case *LocalData:
		return appendTyped(dst, d, localKeys)
	case *RawData:
		return appendRaw(dst, d)
	}
	return append(dst, "null"...), nil
}

func appendTyped[T any, P typed[T]](dst []byte, d P, keys table[T]) ([]byte, error) {
	if d == nil {
		return append(dst, "null"...), nil
	}
	c := d.Common()
	dst, err := keys.append(append(dst, '{'), d, c.missing, c.Extra)
	dst, err2 := commonKeys.append(dst, c, 0, c.Extra)
	dst, err3 := appendRest(dst, c.Extra, func(k string) bool { return keys.has(k) || commonKeys.has(k) })
	return append(dst, '}'), firstOf(err, err2, err3)
}

func appendRaw(dst []byte, d *RawData) ([]byte, error) {
	if d == nil {
		return append(dst, "null"...), nil
	}
	dst, err := commonKeys.append(append(dst, '{'), &d.Shared, 0, d.Shared.Extra)
	dst, err2 := appendRest(dst, d.Shared.Extra, commonKeys.has)
	// A driver may have put there what Shared has a field for.
	dst, err3 := appendRest(dst, d.Values, func(k string) bool {
		_, twice := d.Shared.Extra[k]
		return twice || commonKeys.writes(&d.Shared, k)
	})
	return append(dst, '}'), firstOf(err, err2, err3)
}

// MarshalJSON writes the data with its secrets in clear.
func (d ISCSIData) MarshalJSON() ([]byte, error) { return appendData(nil, &d) }

// MarshalJSON writes the data.
func (d FCData) MarshalJSON() ([]byte, error) { return appendData(nil, &d) }

// MarshalJSON writes the data with its secrets in clear.
func (d RBDData) MarshalJSON() ([]byte, error) { return appendData(nil, &d) }

// MarshalJSON writes the data.
func (d LocalData) MarshalJSON() ([]byte, error) { return appendData(nil, &d) }

// MarshalJSON writes the values, and what Shared has, in one object.
func (d RawData) MarshalJSON() ([]byte, error) { return appendData(nil, &d) }

// UnmarshalJSON reads an object. ErrInvalid: a value is of a wrong type.
func (d *ISCSIData) UnmarshalJSON(text []byte) error { return unmarshal(d, iscsiKeys, text) }

// UnmarshalJSON reads an object. ErrInvalid: a value is of a wrong type.
func (d *FCData) UnmarshalJSON(text []byte) error { return unmarshal(d, fcKeys, text) }

// UnmarshalJSON reads an object. ErrInvalid: a value is of a wrong type.
func (d *RBDData) UnmarshalJSON(text []byte) error { return unmarshal(d, rbdKeys, text) }

// UnmarshalJSON reads an object. ErrInvalid: a value is of a wrong type.
func (d *LocalData) UnmarshalJSON(text []byte) error { return unmarshal(d, localKeys, text) }

// UnmarshalJSON reads any object.
func (d *RawData) UnmarshalJSON(text []byte) error {
	object, err := readObject(text)
	if err != nil {
		return err
	}
	*d = *newRaw(object)
	return nil
}

func unmarshal[T any, P typed[T]](d P, keys table[T], text []byte) error {
	object, err := readObject(text)
	if err != nil {
		return err
	}
	n := P(new(T))
	if bad := load[T](n, keys, object); bad != "" {
		return Errorf(ErrInvalid, "%s: the value is of a wrong type", bad)
	}
	*d = *n
	return nil
}

// MarshalJSON writes the properties as os-brick has them.
func (p Properties) MarshalJSON() ([]byte, error) {
	return appendPlain(&p, propertiesKeys, p.Extra)
}

// UnmarshalJSON reads any JSON object. A value of a wrong type stays in Extra.
func (p *Properties) UnmarshalJSON(text []byte) error {
	object, err := readObject(text)
	if err != nil {
		return err
	}
	*p = Properties{}
	p.Extra = propertiesKeys.rest(object, propertiesKeys.load(p, object))
	return nil
}

// MarshalJSON writes the device as os-brick has it.
func (d Device) MarshalJSON() ([]byte, error) { return appendPlain(&d, deviceKeys, d.Extra) }

// UnmarshalJSON reads any JSON object. A value of a wrong type stays in Extra.
func (d *Device) UnmarshalJSON(text []byte) error {
	object, err := readObject(text)
	if err != nil {
		return err
	}
	*d = Device{}
	d.Extra = deviceKeys.rest(object, deviceKeys.load(d, object))
	return nil
}

func appendPlain[T any](v *T, keys table[T], extra map[string]any) ([]byte, error) {
	dst, err := keys.append(append(make([]byte, 0, 256), '{'), v, 0, extra)
	dst, err2 := appendRest(dst, extra, keys.has)
	return append(dst, '}'), firstOf(err, err2)
}

func readObject(text []byte) (map[string]any, error) {
	d := ovo.NewDecoder(text)
	if d.Kind() != ovo.KindObject {
		return nil, d.Object(nil)
	}
	v, err := d.Value()
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
