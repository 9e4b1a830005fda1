package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// streams keeps a number of long answers open at all times, each on a connection of its own.
type streams struct {
	address    string
	nameHeader string
	seconds    float64
	ledger     *ledger
	issued     atomic.Int64
	stopping   chan struct{}
}

// run opens one stream after another; the first starts after a delay so that they do not end together.
func (s *streams) run(delay time.Duration) {
	for {
		select {
		case <-s.stopping:
			return
		case <-time.After(delay):
		}
		s.ledger.begin()
		e := s.one(s.issued.Add(1) - 1)
		s.ledger.end(e)
		delay = 0
		if e.fault != "" {
			delay = 50 * time.Millisecond
		}
	}
}

func (s *streams) one(number int64) exchange {
	now := nowNS()
	e := exchange{kind: "stream", number: number, intendedNS: now, takenNS: now}
	s.follow(&e)
	e.endNS = nowNS()
	return e
}

func (s *streams) follow(e *exchange) {
	patience := time.Duration((s.seconds + 10) * float64(time.Second))
	raw, err := net.DialTimeout("tcp", s.address, patience)
	if err != nil {
		e.fault = "connect"
		return
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(patience))
	e.sentNS = nowNS()
	_, err = fmt.Fprintf(raw, "GET /stream?seconds=%g HTTP/1.1\r\nHost: %s\r\n\r\n", s.seconds, s.address)
	if err != nil {
		e.fault = faultOf(err)
		return
	}
	response, err := http.ReadResponse(bufio.NewReader(raw), nil)
	if err != nil {
		e.fault = faultOf(err)
		return
	}
	e.status, e.revision = response.StatusCode, response.Header.Get(s.nameHeader)
	if e.status != http.StatusOK {
		e.fault = "status"
		return
	}
	e.fault = checkStream(response.Body)
}

// checkStream reads to the protocol's own end and holds the content against the end mark, which is
// the last line: "end " and the SHA-256 of all before it.
func checkStream(body io.Reader) string {
	content, err := io.ReadAll(body)
	if err != nil {
		return faultOf(err)
	}
	at := bytes.LastIndex(content, []byte("end "))
	if at < 0 || !bytes.HasSuffix(content, []byte("\n")) {
		return "unmarked"
	}
	sum := sha256.Sum256(content[:at])
	if string(content[at:]) != "end "+hex.EncodeToString(sum[:])+"\n" {
		return "content"
	}
	return ""
}
