package redisd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/filigreehq/filigree/pkg/fault"
)

// lockForThisProcess takes DIR/lock. The file is opened close-on-exec, so no child keeps the lock when we die.
func lockForThisProcess(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := tryLock(path)
	// Whoever was forked while another held it has it until it executes something else.
	for until := time.Now().Add(time.Second); err == nil && f == nil && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
		f, err = tryLock(path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if f == nil {
		by := "another process"
		pid, err := os.ReadFile(path)
		if err == nil && len(pid) > 0 {
			by = "process " + strings.TrimSpace(string(pid))
		}
		return nil, fault.New(fault.Conflict, "DATA_IN_USE",
			"%s is in use by %s. Stop that one first, or choose another folder with --data.", dir, by)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("write our process id into the lock: %w", err)
	}
	return f, nil
}

// tryLock takes the lock at path; nil and no error mean that somebody else has it. Closing every copy of the returned
// file, inherited ones included, gives it back.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("flock %s: %w", path, err)
}

// tail returns the last lines of the file at path, for an error message.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	const most = 4096
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], " | ")
}
