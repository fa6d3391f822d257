// Command email runs the email service in a process of its own.
package main

import (
	"github.com/filigreehq/filigree/pkg/run"
	"github.com/filigreehq/filigree/services/email"
)

func main() { run.Main("email", &email.Process{}) }
