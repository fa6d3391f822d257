package store

import (
	"io/fs"
	"path"
	"strings"
	"testing"
)

// Scripts returns the sources of all scripts by file name, as Redis is given them.
func Scripts(t *testing.T) map[string]string {
	out := map[string]string{}
	names, err := fs.Glob(luaFiles, "lua/*.lua")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, n := range names {
		out[n] = source(strings.TrimSuffix(path.Base(n), ".lua"))
	}
	return out
}
