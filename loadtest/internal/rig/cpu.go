package rig

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of /proc/PID/stat: USER_HZ, which Linux has fixed at a hundredth of a second for programs.
const tick = 10 * time.Millisecond

// cpuOf is the processor time of a process and of those of its children that have ended; 0 when it cannot be told.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold spaces; utime, stime, cutime and cstime are the 14th to 17th field of all, the 12th to
	// 15th after it.
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(rest)
	if len(fields) < 15 {
		return 0
	}
	var sum int64
	for _, field := range fields[11:15] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0
		}
		sum += ticks
	}
	return time.Duration(sum) * tick
}

// CPU is the processor time that this process itself has used.
func CPU() time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
