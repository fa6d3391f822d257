// Command gateway runs the gateway service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/console"
	"github.com/filigreehq/filigree/services/gateway"
)

func main() { run.Main("gateway", &gateway.Process{Console: console.Files()}) }
