// Command thumbnail runs the thumbnail service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/thumbnail"
)

func main() {
	sandbox.Main() // a child that reads a document starts here and does not return
	run.Main("thumbnail", &thumbnail.Process{})
}
