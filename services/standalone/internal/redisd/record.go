package redisd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// longestSocket is what fits into a unix socket's address on Linux, the closing zero excluded.
const longestSocket = 107

// socketName is the socket's name in its folder.
const socketName = "redis.sock"

// A record is DIR/redis.json: how to find the child again. It is written before the child starts, with the socket, and
// again when it is known which process it became.
type record struct {
	Dir     string `json:"dir"`               // the records' folder; a copied data folder carries a record that is not its own
	Socket  string `json:"socket"`            // where the child listens
	Pid     int    `json:"pid,omitempty"`     // 0: it was about to start
	Started string `json:"started,omitempty"` // the kernel's start time of Pid, so that a reused number is not taken for it
}

func (s *Server) recordPath() string { return filepath.Join(s.cfg.Dir, "redis.json") }

// readRecord returns the record of this folder; ok is false when there is none.
func (s *Server) readRecord() (r record, ok bool) {
	text, err := os.ReadFile(s.recordPath())
	if err != nil {
		return record{}, false
	}
	err = json.Unmarshal(text, &r)
	if err != nil || !sameFile(r.Dir, s.data) {
		return record{}, false
	}
	return r, true
}

// writeRecord replaces the record in one step.
func (s *Server) writeRecord(r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode redis.json: %w", err)
	}
	next := s.recordPath() + ".next"
	err = os.WriteFile(next, append(text, '\n'), 0o600)
	if err != nil {
		return fmt.Errorf("write redis.json: %w", err)
	}
	err = os.Rename(next, s.recordPath())
	if err != nil {
		return fmt.Errorf("replace redis.json: %w", err)
	}
	return nil
}

// chooseSocket returns where a new child shall listen: in the data folder, or, where that path is too long for a
// socket, in a temporary folder that only we may enter. A path in use by this Server's clients is kept.
func (s *Server) chooseSocket() (string, error) {
	if s.socket != "" {
		err := os.MkdirAll(filepath.Dir(s.socket), 0o700)
		return s.socket, err
	}
	path := filepath.Join(s.data, socketName)
	if len(path) <= longestSocket {
		return path, nil
	}
	old, ok := s.readRecord()
	if ok {
		s.removeSocket(old.Socket) // nobody listens there any more: the records' lock is ours
	}
	dir, err := os.MkdirTemp("", "filigree-redis-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, socketName)
	if len(path) > longestSocket {
		_ = os.Remove(dir) // nobody will use it
		return "", fmt.Errorf("%s is longer than the %d bytes of a socket's path: set TMPDIR to a shorter folder", path, longestSocket)
	}
	return path, nil
}

// removeSocket removes a socket that nobody listens on, and its folder if that was made for it.
func (s *Server) removeSocket(path string) {
	// What cannot be removed harms nobody.
	_ = os.Remove(path)
	if filepath.Dir(path) != s.data {
		_ = os.Remove(filepath.Dir(path)) // only when empty
	}
}

// sameFile says whether two paths name one existing file or folder.
func sameFile(a, b string) bool {
	infoA, err := os.Stat(a)
	if err != nil {
		return false
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB)
}
