package main

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"
)

const (
	timerAbsolute = 1
	timerFlags    = syscall.O_NONBLOCK | syscall.O_CLOEXEC
)

type timerSpec struct{ interval, first syscall.Timespec }

// pace is a kernel timer that Go's poller waits for. The runtime's own timers are rounded up
// to a millisecond when the process is idle, which is as long as the gap between two requests.
type pace struct{ timer *os.File }

func newPace(firstNS, intervalNS int64) (*pace, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, timerFlags, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	spec := timerSpec{syscall.NsecToTimespec(intervalNS), syscall.NsecToTimespec(firstNS)}
	_, _, errno = syscall.Syscall6(
		syscall.SYS_TIMERFD_SETTIME, fd, timerAbsolute, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		_ = syscall.Close(int(fd))
		return nil, os.NewSyscallError("timerfd_settime", errno)
	}
	return &pace{os.NewFile(uintptr(fd), "pace")}, nil
}

// due waits for the timer and returns how many requests fell due; it is 0 once closed.
func (p *pace) due() uint64 {
	var count [8]byte
	if _, err := p.timer.Read(count[:]); err != nil {
		return 0
	}
	return binary.NativeEndian.Uint64(count[:])
}

func (p *pace) close() { _ = p.timer.Close() }
