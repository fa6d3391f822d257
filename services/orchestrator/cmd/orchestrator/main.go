// Command orchestrator runs the orchestrator service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/orchestrator"
)

func main() { run.Main("orchestrator", &orchestrator.Process{}) }
