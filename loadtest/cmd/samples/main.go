// Command samples writes sample documents, and sample people to send them to, into a folder.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/filigreehq/filigree/loadtest/samples"
)

func main() {
	dir := flag.String("o", "samples", "folder to write into; it is made if need be")
	flag.Parse()
	err := samples.Write(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "samples:", err)
		os.Exit(1)
	}
}
