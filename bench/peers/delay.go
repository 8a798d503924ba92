package main

import (
	"context"
	"flag"
	"net"
	"time"
)

// runDelay is a TCP relay that holds every byte back: half of a round trip each way.
func runDelay(ctx context.Context, flags *flag.FlagSet, given []string) error {
	to := flags.String("to", "", "host:port")
	roundTrip := flags.Duration("round-trip", 20*time.Millisecond, "added to every round trip")
	_ = flags.Parse(given)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	report(event{Event: "listening", Address: listener.Addr().String()})
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			far, err := net.Dial("tcp", *to)
			if err != nil {
				_ = near.Close()
				return
			}
			go holdBack(far.(*net.TCPConn), near, *roundTrip/2)
			holdBack(near.(*net.TCPConn), far, *roundTrip/2)
		}()
	}
}

type held struct {
	bytes []byte
	due   time.Time
}

// holdBack reads on while earlier bytes wait, or the delay would be a limit of speed too.
func holdBack(to *net.TCPConn, from net.Conn, delay time.Duration) {
	queue := make(chan held, 4096)
	go func() {
		defer close(queue)
		for {
			buffer := make([]byte, 32<<10)
			count, err := from.Read(buffer)
			if count > 0 {
				queue <- held{buffer[:count], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for next := range queue {
		time.Sleep(time.Until(next.due))
		if _, err := to.Write(next.bytes); err != nil {
			_ = from.Close()
			for range queue {
				// Its reader must not wait for us.
			}
			return
		}
	}
	_ = to.CloseWrite()
}
