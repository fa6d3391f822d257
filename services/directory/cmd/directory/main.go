// Command directory runs the directory service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/directory"
)

func main() { run.Main("directory", &directory.Process{}) }
