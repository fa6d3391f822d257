// Package rig starts what a measurement needs and ends all of it: programs of ours, a private redis-server, a folder for
// what they write.
//
// What it promises: Close ends every process that was started, the last one first, and removes the folder; a process of
// ours that dies without Close, by kill -9 say, takes its children with it.
package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Rig holds what was started. Its methods are called from one goroutine.
type Rig struct {
	// Env are variables that programs get beside this one's own.
	Env []string

	dir      string
	programs string // folder of the programs that had to be built; empty before the first
	stops    []func() error
}

// New makes a rig with a temporary folder.
func New() (*Rig, error) {
	dir, err := os.MkdirTemp("", "filigree-load-") // short: sockets are in it, whose names have 107 bytes at most
	if err != nil {
		return nil, fmt.Errorf("a folder for what is started: %w; set TMPDIR to one that can be written", err)
	}
	r := &Rig{dir: dir}
	r.Closer(func() error { return os.RemoveAll(dir) })
	return r, nil
}

// Dir is a new, empty folder that is gone with the rig.
func (r *Rig) Dir(name string) (string, error) {
	dir, err := os.MkdirTemp(r.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("a folder for %s: %w", name, err)
	}
	return dir, nil
}

// Closer has Close call stop at its turn.
func (r *Rig) Closer(stop func() error) { r.stops = append(r.stops, stop) }

// Close ends everything and returns what went wrong. Calling it again does nothing.
func (r *Rig) Close() error {
	var errs []error
	for i := len(r.stops) - 1; i >= 0; i-- {
		errs = append(errs, r.stops[i]())
	}
	r.stops = nil
	return errors.Join(errs...)
}

// log is the file for the words of the process named name.
func (r *Rig) log(name string) (*os.File, error) {
	f, err := os.CreateTemp(r.dir, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("a log for %s: %w", name, err)
	}
	return f, nil
}

// socket is a path for a unix socket.
func (r *Rig) socket() (string, error) {
	dir, err := r.Dir("s")
	return filepath.Join(dir, "s"), err
}
