package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func settingsFor(address string) settings {
	return settings{targets: []string{address}, rate: 200, connections: 4, streamSeconds: 0.2,
		nameHeader: "x-backend-name", timeout: 2 * time.Second}
}

func runFor(t *testing.T, s settings, enough func(*load) bool) *load {
	t.Helper()
	l := newLoad(s)
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !enough(l) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	l.stop()
	return l
}

func recorded(count int) func(*load) bool {
	return func(l *load) bool {
		l.ledger.lock.Lock()
		defer l.ledger.lock.Unlock()
		return len(l.ledger.rows) >= count
	}
}

// closer answers the first request of a connection and closes on the second without a word, as a proxy
// does whose keep-alive ran out. A client that retries by itself would hide exactly this.
func closer(t *testing.T) (address string, arrived *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	arrived = &atomic.Int64{}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answerOnce(c, arrived)
		}
	}()
	return listener.Addr().String(), arrived
}

func answerOnce(c net.Conn, arrived *atomic.Int64) {
	defer c.Close()
	reader := bufio.NewReader(c)
	for turn := 0; ; turn++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(request.Body)
		arrived.Add(1)
		if turn == 1 {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func TestARequestIsNeverSentTwiceEvenWhenItsKeptConnectionDies(t *testing.T) {
	address, arrived := closer(t)
	l := runFor(t, settingsFor(address), recorded(40))
	faults := 0
	for _, e := range l.ledger.rows {
		if e.fault != "" {
			faults++
			if !e.reused || (e.fault != "closed" && e.fault != "reset") {
				t.Errorf("an odd fault: %+v", e)
			}
		}
	}
	if int64(len(l.ledger.rows)) != l.issued || arrived.Load() != l.issued {
		t.Errorf("%d issued, %d arrived, %d recorded", l.issued, arrived.Load(), len(l.ledger.rows))
	}
	if faults == 0 || faults > int(l.issued)/2 {
		t.Errorf("%d faults of %d requests; every second one on a connection dies", faults, l.issued)
	}
}

func TestAnswersThatAreWrongAreFaults(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"number": -1}`)
	}))
	defer wrong.Close()
	l := runFor(t, settingsFor(wrong.Listener.Addr().String()), recorded(5))
	for _, e := range l.ledger.rows {
		if e.fault != "content" {
			t.Errorf("an answer to another request passed: %+v", e)
		}
	}
}

func TestARateIsKeptWhileAnswersAreSlow(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		_, _ = io.Copy(w, r.Body)
	}))
	defer slow.Close()
	began := time.Now()
	l := runFor(t, settingsFor(slow.Listener.Addr().String()), func(*load) bool {
		return time.Since(began) > 500*time.Millisecond
	})
	// 200 a second over half a second; four connections with answers of 300 ms would allow seven.
	if l.issued < 80 {
		t.Errorf("only %d requests were sent: the load waited for answers", l.issued)
	}
}

func TestAClosedIdleConnectionIsNotUsed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := newLoad(settingsFor(listener.Addr().String()))
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	for range l.settings.connections {
		c, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	go answerAll(listener)
	l.pools[0].send(exchange{kind: "request"})
	l.ledger.open.Wait()
	if e := l.ledger.rows[0]; e.fault != "" || e.reused {
		t.Errorf("a closed connection was used: %+v", e)
	}
}

func answerAll(listener net.Listener) {
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
}

func TestStreamsAreCheckedToTheirEndMark(t *testing.T) {
	content := "one\ntwo\n"
	mark := fmt.Sprintf("end %x\n", sha256.Sum256([]byte(content)))
	for name, given := range map[string]struct{ body, fault string }{
		"whole":    {content + mark, ""},
		"no mark":  {content, "unmarked"},
		"half":     {content + mark[:20], "unmarked"},
		"altered":  {"one\ntwO\n" + mark, "content"},
		"trailing": {content + mark + "more\n", "content"},
	} {
		if fault := checkStream(strings.NewReader(given.body)); fault != given.fault {
			t.Errorf("%s: %q instead of %q", name, fault, given.fault)
		}
	}
}

func TestAStreamCutInTheMiddleIsCut(t *testing.T) {
	cutting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer cutting.Close()
	s := settingsFor(cutting.Listener.Addr().String())
	l := newLoad(s)
	if e := l.streams.one(0); e.fault != "cut" && e.fault != "reset" {
		t.Errorf("a cut stream was not seen: %+v", e)
	}
}

func TestTheClockIsTheSystemsMonotonicClock(t *testing.T) {
	before, now, after := readMonotonicNS(), nowNS(), readMonotonicNS()
	const slack = int64(time.Millisecond)
	if now < before-slack || now > after+slack {
		t.Errorf("%d is not between %d and %d", now, before, after)
	}
}
