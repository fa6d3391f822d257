package define

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// appendValue appends what an expression gave as protobuf JSON (proto3 language guide, "JSON Mapping"): keys in order, so
// that the same value is the same text. It is on the way of every task; what is none of the plain types takes the long
// way through structpb.
func appendValue(b []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.String:
		return appendString(b, string(v))
	case types.Bool:
		return strconv.AppendBool(b, bool(v)), nil
	case types.Int:
		return appendNumber(b, float64(v))
	case types.Uint:
		return appendNumber(b, float64(v))
	case types.Double:
		return appendNumber(b, float64(v))
	case types.Null:
		return append(b, "null"...), nil
	case traits.Mapper:
		return appendMap(b, v)
	case traits.Lister:
		b = append(b, '[')
		for it, first := v.Iterator(), true; it.HasNext() == types.True; first = false {
			if !first {
				b = append(b, ',')
			}
			var err error
			b, err = appendValue(b, it.Next())
			if err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	native, err := v.ConvertToNative(valueType)
	if err != nil {
		return nil, err
	}
	value, ok := native.(*structpb.Value)
	if !ok {
		return nil, fmt.Errorf("%s is no value that JSON has", v.Type().TypeName())
	}
	raw, err := protojson.Marshal(value)
	return append(b, raw...), err
}

func appendMap(b []byte, m traits.Mapper) ([]byte, error) {
	type entry struct {
		key string
		val ref.Val
	}
	var all []entry
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, ok := k.(types.String)
		if !ok {
			return nil, fmt.Errorf("a key is %s, and in JSON keys are strings", k.Type().TypeName())
		}
		all = append(all, entry{string(name), m.Get(k)})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	b = append(b, '{')
	for i, e := range all {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		b, err = appendString(b, e.key)
		if err != nil {
			return nil, err
		}
		b = append(b, ':')
		b, err = appendValue(b, e.val)
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendNumber(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v is no number that JSON has", f)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.AppendInt(b, int64(f), 10), nil
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64), nil
}

func appendString(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			raw, err := json.Marshal(s)
			return append(b, raw...), err
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}
