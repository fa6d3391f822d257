package store

import (
	"io/fs"
	"testing"
)

// Scripts returns the sources of all scripts by file name.
func Scripts(t *testing.T) map[string]string {
	out := map[string]string{}
	names, err := fs.Glob(luaFiles, "lua/*.lua")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, n := range names {
		raw, err := luaFiles.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = string(raw)
	}
	return out
}
