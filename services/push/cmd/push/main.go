// Command push runs the push service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/push"
)

func main() { run.Main("push", &push.Process{}) }
