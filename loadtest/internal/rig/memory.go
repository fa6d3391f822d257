package rig

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// Memory is the most that the process has had resident, in bytes, without its children; 0 when it cannot be known.
func (p *Process) Memory() int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer f.Close() // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:")
		if !ok {
			continue
		}
		_, err = fmt.Sscan(rest, &kib)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}
