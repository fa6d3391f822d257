package define

import (
	"testing"

	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// The short way gives the value that the long one does.
func TestValuesAsJSON(t *testing.T) {
	for name, v := range map[string]any{
		"plain":    map[string]any{"a": "b", "c": true, "d": 3.25, "e": int64(7), "f": nil, "g": []any{"x", int64(-1), 1e300}},
		"strings":  []any{"", "ä", "<&>", "quote \" and \\", "line\nbreak", "\u2028", "\x7f", "日本"},
		"invalid":  "a\xffb",
		"numbers":  []any{0.1, -0.0, 1e21, float64(1 << 53), uint64(12)},
		"nested":   map[string]any{"z": map[string]any{"y": []any{map[string]any{}}}, "a": []any{}},
		"datetime": "2026-11-26",
	} {
		val := types.DefaultTypeAdapter.NativeToValue(v)
		got, err := appendValue(nil, val)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var a, b structpb.Value
		err = protojson.Unmarshal(got, &a)
		if err != nil {
			t.Errorf("%s: %s is no JSON: %v", name, got, err)
			continue
		}
		native, err := val.ConvertToNative(valueType)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := protojson.Marshal(native.(*structpb.Value))
		if err != nil {
			if name == "invalid" {
				continue // the long way refuses what is not UTF-8; the short one replaces it
			}
			t.Fatal(err)
		}
		err = protojson.Unmarshal(raw, &b)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(&a, &b) {
			t.Errorf("%s: got %s, want %s", name, got, raw)
		}
	}
}
