package main

import (
	"syscall"
	"time"
	"unsafe"
)

const clockMonotonic = 1

var (
	origin   = time.Now()
	originNS = readMonotonicNS()
)

// nowNS is CLOCK_MONOTONIC in nanoseconds, the clock of Python's time.monotonic_ns, so that
// the marks of the driver and the times of the requests lie on one line.
func nowNS() int64 { return originNS + int64(time.Since(origin)) }

func readMonotonicNS() int64 {
	var at syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		panic(errno)
	}
	return at.Nano()
}
