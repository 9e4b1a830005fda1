package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// pool keeps the connections to one target. It handles them itself because net/http's transport
// sends a request again when a kept connection dies under it, and a request sent twice hides a loss.
// Here a request is written once and recorded once, whatever happens to it.
type pool struct {
	target     int
	address    string
	nameHeader string
	timeout    time.Duration
	ledger     *ledger

	lock sync.Mutex
	idle []*conn // first in, first out: every connection is used in turn
}

type conn struct {
	net.Conn
	pool    *pool
	reader  *bufio.Reader
	current *exchange // what it carries now, nil while idle; under pool.lock
	body    []byte    // the body sent, which the answer must repeat
}

// open fills the pool with idle connections before the load begins.
func (p *pool) open(count int) error {
	for range count {
		c, err := p.dial()
		if err != nil {
			return err
		}
		p.release(c)
		go c.read()
	}
	return nil
}

func (p *pool) dial() (*conn, error) {
	raw, err := net.DialTimeout("tcp", p.address, p.timeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, pool: p, reader: bufio.NewReader(raw)}, nil
}

// send starts one exchange and never waits for it: on a kept connection, or else on a new one.
func (p *pool) send(e exchange) {
	p.ledger.begin()
	for {
		p.lock.Lock()
		if len(p.idle) == 0 {
			p.lock.Unlock()
			go p.sendFresh(e)
			return
		}
		c := p.idle[0]
		p.idle = p.idle[1:]
		// A client may look whether the other end has closed before it sends; after it has sent, never again.
		if !c.quiet() {
			p.lock.Unlock()
			_ = c.Close()
			continue
		}
		e.reused = true
		c.carry(e)
		p.lock.Unlock()
		c.write()
		return
	}
}

func (p *pool) sendFresh(e exchange) {
	c, err := p.dial()
	if err != nil {
		e.endNS, e.fault = nowNS(), "connect"
		p.ledger.end(e)
		return
	}
	p.lock.Lock()
	c.carry(e)
	p.lock.Unlock()
	c.write()
	go c.read()
}

func (p *pool) release(c *conn) {
	p.lock.Lock()
	defer p.lock.Unlock()
	_ = c.SetReadDeadline(time.Time{})
	c.current = nil
	p.idle = append(p.idle, c)
}

func (p *pool) forget(c *conn) {
	for i, other := range p.idle {
		if other == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// quiet says that nothing, not even the other end's close, has arrived on an idle connection.
func (c *conn) quiet() bool {
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	var errno error
	var peek [1]byte
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Recvfrom(int(fd), peek[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && errno == syscall.EAGAIN
}

// carry makes e the connection's exchange; the pool's lock is held.
func (c *conn) carry(e exchange) {
	c.body = []byte(fmt.Sprintf(`{"number": %d}`, e.number))
	_ = c.SetReadDeadline(time.Now().Add(c.pool.timeout))
	e.sentNS = nowNS()
	c.current = &e
}

// write sends the request. Its own failure is left to the reader, the only one that records.
func (c *conn) write() {
	head := "POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	if _, err := fmt.Fprintf(c.Conn, head, c.pool.address, len(c.body), c.body); err != nil {
		_ = c.Conn.(*net.TCPConn).CloseRead()
	}
}

// read takes answers until the connection ends.
func (c *conn) read() {
	defer c.Close()
	for {
		_, err := c.reader.Peek(1)
		c.pool.lock.Lock()
		e := c.current
		if e == nil {
			c.pool.forget(c)
			c.pool.lock.Unlock()
			return
		}
		c.pool.lock.Unlock()
		if err != nil {
			c.finish(e, faultOf(err))
			return
		}
		if !c.answer(e) {
			return
		}
	}
}

// answer reads one answer, records the exchange and says whether the connection can be kept.
func (c *conn) answer(e *exchange) bool {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.finish(e, faultOf(err))
		return false
	}
	body, err := io.ReadAll(response.Body)
	e.status, e.revision = response.StatusCode, response.Header.Get(c.pool.nameHeader)
	switch {
	case err != nil:
		c.finish(e, faultOf(err))
		return false
	case e.status != http.StatusOK:
		c.finish(e, "status")
	case !bytes.Equal(body, c.body):
		c.finish(e, "content")
	default:
		c.finish(e, "")
	}
	if response.Close {
		return false
	}
	c.pool.release(c)
	return true
}

func (c *conn) finish(e *exchange, fault string) {
	e.endNS, e.fault = nowNS(), fault
	c.pool.ledger.end(*e)
}
