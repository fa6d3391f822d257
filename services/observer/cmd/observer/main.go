// Command observer runs the observer service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/observer"
)

func main() { run.Main("observer", &observer.Process{}) }
