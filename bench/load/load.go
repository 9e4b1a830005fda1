package main

import (
	"sync"
	"time"
)

// load is one run: pools to send on, streams beside them, and the ledger of both.
type load struct {
	settings settings
	ledger   *ledger
	pools    []*pool
	streams  *streams
	pace     *pace
	issued   int64 // read only after stop
	tasks    sync.WaitGroup
}

func newLoad(s settings) *load {
	l := &load{settings: s, ledger: &ledger{}}
	for i, address := range s.targets {
		l.pools = append(l.pools, &pool{
			target: i, address: address, nameHeader: s.nameHeader, timeout: s.timeout, ledger: l.ledger})
	}
	l.streams = &streams{address: s.targets[0], nameHeader: s.nameHeader, seconds: s.streamSeconds,
		ledger: l.ledger, stopping: make(chan struct{})}
	return l
}

func (l *load) connect() error {
	for _, p := range l.pools {
		if err := p.open(l.settings.connections); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) start() error {
	firstNS := nowNS() + int64(10*time.Millisecond)
	intervalNS := int64(float64(time.Second) / l.settings.rate)
	timer, err := newPace(firstNS, intervalNS)
	if err != nil {
		return err
	}
	l.pace = timer
	l.tasks.Add(1)
	go func() {
		defer l.tasks.Done()
		l.send(firstNS, intervalNS)
	}()
	for i := range l.settings.streams {
		delay := time.Duration(float64(i) / float64(l.settings.streams) * l.settings.streamSeconds * float64(time.Second))
		l.tasks.Add(1)
		go func() {
			defer l.tasks.Done()
			l.streams.run(delay)
		}()
	}
	return nil
}

func (l *load) send(firstNS, intervalNS int64) {
	for count := l.pace.due(); count > 0; count = l.pace.due() {
		for range count {
			target := int(l.issued) % len(l.pools)
			l.pools[target].send(exchange{kind: "request", number: l.issued, target: target,
				intendedNS: firstNS + l.issued*intervalNS, takenNS: nowNS()})
			l.issued++
		}
	}
}

// stop sends nothing more and waits for every answer that is still due.
func (l *load) stop() {
	close(l.streams.stopping)
	l.pace.close()
	l.tasks.Wait()
	l.ledger.open.Wait()
}
