// Command link runs the link service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/link"
)

func main() { run.Main("link", &link.Process{}) }
