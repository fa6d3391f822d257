// Command loadtest measures Filigree under load.
package main

import (
	"os"

	"github.com/filigreehq/filigree/loadtest/internal/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }
