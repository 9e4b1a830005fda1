// Load sends requests at a fixed rate over kept connections, keeps long streams open beside them, and
// writes down every single one. It never sends a request twice.
//
// It prints "ready", begins on the line "start", and ends on "stop" or when its input closes: what is in
// flight is waited for, the records are written to -out, and one JSON line says how many there must be.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

type settings struct {
	targets       []string
	rate          float64
	connections   int
	streams       int
	streamSeconds float64
	nameHeader    string
	timeout       time.Duration
	out           string
}

func readSettings() settings {
	var s settings
	targets := flag.String("targets", "", "host:port, or several with commas, served in turn")
	flag.Float64Var(&s.rate, "rate", 1000, "requests per second over all targets")
	flag.IntVar(&s.connections, "connections", 64, "connections opened per target before the start")
	flag.IntVar(&s.streams, "streams", 0, "streams kept open on the first target")
	flag.Float64Var(&s.streamSeconds, "stream-seconds", 3, "length of a stream")
	flag.StringVar(&s.nameHeader, "name-header", "x-celadon-revision", "header of the answer that names who answered")
	flag.DurationVar(&s.timeout, "timeout", 10*time.Second, "patience per request")
	flag.StringVar(&s.out, "out", "", "file for the records")
	flag.Parse()
	s.targets = strings.Split(*targets, ",")
	if *targets == "" || s.out == "" || s.rate <= 0 {
		fmt.Fprintln(os.Stderr, "load: -targets, -out and a positive -rate are needed")
		os.Exit(1)
	}
	return s
}

func main() {
	// The records grow steadily, so collecting rarely costs memory that the machine has and spares pauses.
	debug.SetGCPercent(400)
	s := readSettings()
	load := newLoad(s)
	if err := load.connect(); err != nil {
		fmt.Fprintln(os.Stderr, "load: cannot connect:", err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	if !lines.Scan() || lines.Text() != "start" {
		os.Exit(1)
	}
	if err := load.start(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	for lines.Scan() && lines.Text() != "stop" {
	}
	load.stop()
	if err := load.ledger.write(s.out); err != nil {
		fmt.Fprintln(os.Stderr, "load: cannot write the records:", err)
		os.Exit(1)
	}
	fmt.Printf("{\"requests\": %d, \"streams\": %d}\n", load.issued, load.streams.issued.Load())
}
