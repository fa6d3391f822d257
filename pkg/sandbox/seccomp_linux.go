package sandbox

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	// absent makes C libraries and Go fall back from clone3, whose arguments a filter cannot see, to clone.
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill   = unix.SECCOMP_RET_KILL_PROCESS

	// Offsets in struct seccomp_data (linux/seccomp.h); of the 64-bit arguments the low half, on little-endian machines.
	offNumber = 0
	offArch   = 4
	offArg0   = 16
)

// functionFilter allows what the Go runtime and work on open files need, and refuses all else: no open, no socket, no
// exec, no process.
func functionFilter() []unix.SockFilter {
	return assemble(refuse, slices.Concat(functionCalls, functionCallsArch), allow, threadsOnly(), ownSignals())
}

// functionCalls is what a confined Go function may do.
var functionCalls = []uintptr{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_READV, unix.SYS_WRITEV,
	unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_LSEEK, unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC,
	unix.SYS_FCNTL, unix.SYS_COPY_FILE_RANGE,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRANDOM, unix.SYS_GETRUSAGE,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// toolFilter refuses a foreign program the network, other processes, and the kernel's less travelled parts.
func toolFilter() []unix.SockFilter {
	return assemble(allow, slices.Concat(toolRefusals, toolRefusalsArch), refuse, threadsOnly())
}

var toolRefusals = []uintptr{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT,
	unix.SYS_ACCEPT4, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVFROM, unix.SYS_RECVMSG,
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_MKNODAT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETHOSTNAME, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
}

// threadsOnly lets clone make threads, not processes.
func threadsOnly() []unix.SockFilter {
	return []unix.SockFilter{
		equal(unix.SYS_CLONE3, 0, 1),
		give(absent),
		equal(unix.SYS_CLONE, 0, 4),
		load(offArg0),
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jt: 0, Jf: 1},
		give(allow),
		give(refuse),
	}
}

// ownSignals lets the process signal its own threads, by which the Go runtime pre-empts goroutines.
func ownSignals() []unix.SockFilter {
	return []unix.SockFilter{
		equal(unix.SYS_TGKILL, 0, 4),
		load(offArg0),
		equal(uintptr(os.Getpid()), 0, 1),
		give(allow),
		give(refuse),
	}
}

// assemble makes a program that answers special for the calls listed, what rules say for theirs, and otherwise usual.
func assemble(usual uint32, calls []uintptr, special uint32, rules ...[]unix.SockFilter) []unix.SockFilter {
	prog := []unix.SockFilter{
		load(offArch),
		equal(auditArch, 1, 0),
		give(kill),
		load(offNumber),
		// Numbers of amd64's x32 interface would pass by the list.
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 0x40000000, Jt: 0, Jf: 1},
		give(kill),
	}
	for _, rule := range rules {
		prog = append(prog, rule...)
	}
	for _, call := range calls {
		prog = append(prog, equal(call, 0, 1), give(special))
	}
	return append(prog, give(usual))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func equal(value uintptr, then, otherwise uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(value), Jt: then, Jf: otherwise}
}

func give(answer uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: answer}
}

// install puts the filter on all threads of the process.
func install(prog []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	failed, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("install system call filter: %w", errno)
	}
	if failed != 0 {
		return fmt.Errorf("install system call filter: thread %d would not take it", failed)
	}
	return nil
}
