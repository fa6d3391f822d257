// Package standalone runs all services in one process: `filigree up`. They are the same services with the same
// interceptors between them as in processes of their own; only the listener is in memory. Nothing here decides
// anything, and no service knows that it runs here.
//
// It promises: one folder holds everything; a second `up` on the same folder is refused; kill -9 of this process, of its
// redis-server, or of both loses nothing that was accepted, and the next start goes on where this one stopped.
package standalone
