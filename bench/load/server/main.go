// Server is the backend behind every party of a benchmark: it repeats the body it was sent after a seeded
// delay or after hashing for a while, fails a share of requests if told so, names itself in a header, streams with
// an end mark, and on SIGTERM finishes what it accepted.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type backend struct {
	name       string
	nameHeader string
	medianMS   float64
	sigma      float64
	failShare  float64
	hashes     int

	lock  sync.Mutex
	draws *rand.Rand
}

// delay is log-normal: medianMS in the middle, sigma the spread of its logarithm.
func (b *backend) delay() time.Duration {
	b.lock.Lock()
	defer b.lock.Unlock()
	return time.Duration(b.medianMS * math.Exp(b.sigma*b.draws.NormFloat64()) * float64(time.Millisecond))
}

func (b *backend) predict(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if b.hashes > 0 {
		hash(b.hashes)
	} else {
		time.Sleep(b.delay())
	}
	w.Header().Set(b.nameHeader, b.name)
	if b.fails() {
		http.Error(w, "failed on purpose", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// golden always answers: the faults of a benchmark begin after green was proved.
func (b *backend) golden(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{\"ok\": true}\n")
}

func (b *backend) fails() bool {
	if b.failShare == 0 {
		return false
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.draws.Float64() < b.failShare
}

// hash burns processor time by a fixed amount of work, as a model does, so that a busy core makes it slower.
func hash(times int) [sha256.Size]byte {
	sum := sha256.Sum256(nil)
	for range times {
		sum = sha256.Sum256(sum[:])
	}
	return sum
}

// hashesPerMS is the median over a second of short stretches.
func hashesPerMS() int {
	const stretch = 20000
	var took []float64
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		began := time.Now()
		hash(stretch)
		took = append(took, time.Since(began).Seconds()*1000)
	}
	sort.Float64s(took)
	return int(stretch / took[len(took)/2])
}

func (b *backend) stream(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
	if err != nil || seconds < 0 || seconds > 600 {
		http.Error(w, "seconds must be a number from 0 to 600", http.StatusBadRequest)
		return
	}
	w.Header().Set(b.nameHeader, b.name)
	w.Header().Set("Content-Type", "text/plain")
	flush := http.NewResponseController(w)
	hash := sha256.New()
	both := io.MultiWriter(w, hash)
	for i, end := 0, time.Now().Add(time.Duration(seconds*float64(time.Second))); time.Now().Before(end); i++ {
		if _, err := fmt.Fprintf(both, "%s part %06d\n", b.name, i); err != nil {
			return
		}
		_ = flush.Flush()
		time.Sleep(50 * time.Millisecond)
	}
	_, _ = fmt.Fprintf(w, "end %x\n", hash.Sum(nil))
}

// warm burns processor time as a model does while it loads.
func warm(ms int) {
	sum := sha256.Sum256(nil)
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
		sum = sha256.Sum256(sum[:])
	}
}

func main() {
	b := &backend{}
	port := flag.Int("port", 0, "port on loopback")
	seed := flag.Int64("seed", 1, "seed of the delays")
	warmMS := flag.Int("warm-ms", 0, "processor time burnt before the port opens")
	loadMS := flag.Int("load-ms", 0, "pause before the port opens, as a model is read from a disk")
	flag.StringVar(&b.name, "name", "blue", "what the server calls itself")
	flag.StringVar(&b.nameHeader, "name-header", "x-backend-name", "header that carries the name")
	flag.Float64Var(&b.medianMS, "delay-ms", 10, "median delay of an answer")
	flag.Float64Var(&b.sigma, "delay-sigma", 0.2, "spread of the delay's logarithm")
	flag.Float64Var(&b.failShare, "fail-share", 0, "share of the requests that fail with status 500")
	flag.IntVar(&b.hashes, "hashes", 0, "hashes that an answer costs, in the place of the delay")
	measure := flag.Bool("measure", false, "print how many hashes a millisecond takes, and end")
	flag.Parse()
	if *measure {
		fmt.Println(hashesPerMS())
		return
	}
	b.draws = rand.New(rand.NewSource(*seed))
	time.Sleep(time.Duration(*loadMS) * time.Millisecond)
	warm(*warmMS)
	if err := serve(b, *port); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func serve(b *backend, port int) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/", b.predict)
	mux.HandleFunc("/stream", b.stream)
	mux.HandleFunc("/golden", b.golden)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	finished := make(chan error, 1)
	go func() {
		<-stop.Done()
		finished <- server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-finished
}
