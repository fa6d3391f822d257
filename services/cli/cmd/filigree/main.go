// Command filigree sends documents to people, each a copy of their own, and shows where every copy is.
package main

import (
	"os"

	"github.com/filigreehq/filigree/pkg/sandbox"
	"github.com/filigreehq/filigree/services/cli"
)

func main() {
	sandbox.Main() // a child that reads a document starts here and does not return
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
