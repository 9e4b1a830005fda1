package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
)

// exchange is one request and what became of it. An empty fault means that the whole and right
// answer came. The times are 0 for what never happened.
type exchange struct {
	kind       string // request or stream
	number     int64  // counted per kind from 0, so that a missing record shows
	target     int
	intendedNS int64 // when the fixed rate wanted it sent
	takenNS    int64 // when this program took it up
	sentNS     int64 // just before its bytes were written
	endNS      int64 // when the last byte was read, or the fault was seen
	reused     bool  // went over a kept connection
	status     int
	revision   string
	fault      string
}

const header = "kind,number,target,intended_ns,taken_ns,sent_ns,end_ns,reused,status,revision,fault\n"

func (e *exchange) row() string {
	reused := 0
	if e.reused {
		reused = 1
	}
	return fmt.Sprintf("%s,%d,%d,%d,%d,%d,%d,%d,%d,%s,%s\n", e.kind, e.number, e.target, e.intendedNS,
		e.takenNS, e.sentNS, e.endNS, reused, e.status, strings.ReplaceAll(e.revision, ",", "_"), e.fault)
}

// ledger keeps every exchange in memory: writing while measuring would disturb the measurement.
type ledger struct {
	lock sync.Mutex
	rows []exchange
	open sync.WaitGroup
}

func (l *ledger) begin() { l.open.Add(1) }

func (l *ledger) end(e exchange) {
	l.lock.Lock()
	l.rows = append(l.rows, e)
	l.lock.Unlock()
	l.open.Done()
}

func (l *ledger) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	_, _ = out.WriteString(header)
	for i := range l.rows {
		_, _ = out.WriteString(l.rows[i].row())
	}
	return errors.Join(out.Flush(), file.Close())
}

// faultOf names the class of a broken read or write.
func faultOf(err error) string {
	var slow net.Error
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.As(err, &slow) && slow.Timeout():
		return "timeout"
	default:
		return "protocol"
	}
}
