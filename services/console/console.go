// Package console holds the web console: what coordinators and on-call engineers look at all day.
//
// It promises:
//   - it uses nothing but the REST API that everybody has, with types generated from the same OpenAPI document;
//   - its built files are committed, so that neither building nor running Filigree needs npm; `make web` makes them anew
//     from web/, and `make web-check` compares;
//   - no script, style or font of anybody else's origin is ever loaded.
package console

import (
	"embed"
	"io/fs"
)

//go:embed all:web/dist
var dist embed.FS

// Files are the built files, index.html at the root. They do not change while a process lives.
func Files() fs.FS {
	files, err := fs.Sub(dist, "web/dist")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}
