// Package cli is the command line, `filigree`: one file for a command and its
// relatives, each command a struct whose fields are its flags.
//
// What scripts may rely on: commands, flags and the documents of --json; standard output carries the result and nothing
// else, everything said on the way goes to standard error; an error is one line "filigree: <sentence> (CODE)", details
// indented below it; and the exit codes
//
//	0  done; for `send --wait` and `retry --wait`: every required delivery is sent; for `batch … --wait`: nothing failed
//	1  wrong usage, or the server or we refused
//	2  it ended with failures, or `--wait` ran out or was interrupted: what is open is said; for `trace`: it is not known
//	   whose copy it is
//	3  no server was reached
//
// Everything that is sent is sent at most once by us: `send` repeats a request whose answer was lost under the same
// idempotency key, and so does `batch`; `retry` and `resend` have none, are not repeated, and say how to find out. Other
// systems' secrets are read from files or standard input, never from arguments, which everybody on the machine can read.
// Waiting follows the server's event stream, through restarts of the server and connections that break. Interrupting it
// leaves the distribution running. Bars and colours are for terminals only.
package cli
