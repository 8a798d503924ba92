package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/hashicorp/yamux"
)

type echoOptions struct {
	role               string
	address            string
	certificate        string
	key                string
	trust              string
	keepAlive          time.Duration
	writeTimeout       time.Duration
	streamCloseTimeout time.Duration
}

func echoFlags(flags *flag.FlagSet, given []string) echoOptions {
	var o echoOptions
	flags.StringVar(&o.role, "role", "server", "server: listens; client: dials")
	flags.StringVar(&o.address, "address", "127.0.0.1:0", "where to listen, or whom to dial")
	flags.StringVar(&o.certificate, "certificate", "", "file, of a server")
	flags.StringVar(&o.key, "key", "", "file, of a server")
	flags.StringVar(&o.trust, "trust", "", "file, of a client: as the agent's")
	flags.DurationVar(&o.keepAlive, "keep-alive", 100*time.Millisecond, "between a ping's reply and the next ping")
	flags.DurationVar(&o.writeTimeout, "write-timeout", 10*time.Second, "for a write, and for the reply to a ping")
	flags.DurationVar(&o.streamCloseTimeout, "stream-close-timeout", 5*time.Minute, "after it a half-closed stream is reset")
	// ExitOnError: it does not return one.
	_ = flags.Parse(given)
	return o
}

// runEcho has one session over TLS 1.3 in either role, echoes every stream of the peer's, and obeys orders:
//
//	open STREAMS BYTES   that many at once, each sends random bytes, half-closes, and wants them back
//	abandon              opens a stream and closes it, to see it reset after the close timeout
//	ping, goaway, close  as yamux calls them
func runEcho(ctx context.Context, options echoOptions, orders <-chan string) error {
	conn, err := connectEcho(ctx, options)
	if err != nil {
		return err
	}
	config := yamux.DefaultConfig()
	config.AcceptBacklog = 1000
	config.KeepAliveInterval = options.keepAlive
	config.ConnectionWriteTimeout = options.writeTimeout
	config.StreamCloseTimeout = options.streamCloseTimeout
	config.LogOutput = os.Stderr
	start := yamux.Server
	if options.role == "client" {
		start = yamux.Client
	}
	session, err := start(conn, config)
	if err != nil {
		return err
	}
	report(event{Event: "connected", TLS: tls.VersionName(conn.ConnectionState().Version)})
	lost := make(chan error, 1)
	go func() { lost <- acceptEchoes(session) }()
	for {
		select {
		case order, ok := <-orders:
			if !ok {
				return session.Close()
			}
			go obey(session, order)
		case err := <-lost:
			report(event{Event: "lost", Error: text(err)})
			for range orders {
				// Too late for any.
			}
			return nil
		case <-ctx.Done():
			return session.Close()
		}
	}
}

func connectEcho(ctx context.Context, options echoOptions) (*tls.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	var plain net.Conn
	if options.role == "client" {
		trusted, err := readTrust(options.trust)
		if err != nil {
			return nil, err
		}
		config.ServerName, config.RootCAs = trusted.name, trusted.roots
		if plain, err = net.Dial("tcp", options.address); err != nil {
			return nil, err
		}
		secured := tls.Client(plain, config)
		return secured, secured.HandshakeContext(ctx)
	}
	pair, err := tls.LoadX509KeyPair(options.certificate, options.key)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	listener, err := net.Listen("tcp", options.address)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	report(event{Event: "listening", Address: listener.Addr().String()})
	if plain, err = listener.Accept(); err != nil {
		return nil, err
	}
	secured := tls.Server(plain, config)
	return secured, secured.HandshakeContext(ctx)
}

func acceptEchoes(session *yamux.Session) error {
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return err
		}
		go func() {
			copied, err := io.Copy(stream, stream)
			_ = stream.Close()
			report(event{Event: "echo ended", Bytes: copied, Error: text(err)})
		}()
	}
}

func obey(session *yamux.Session, order string) {
	var name string
	var streams int
	var size int64
	_, _ = fmt.Sscan(order, &name, &streams, &size)
	switch name {
	case "open":
		copied, err := openAtOnce(session, streams, size)
		report(event{Event: "opened", Streams: streams, Bytes: copied, Error: text(err)})
	case "abandon":
		stream, err := session.OpenStream()
		if err == nil {
			err = stream.Close()
		}
		report(event{Event: "abandoned", Error: text(err)})
	case "ping":
		took, err := session.Ping()
		report(event{Event: "ping", Seconds: took.Seconds(), Error: text(err)})
	case "goaway":
		report(event{Event: "goaway", Error: text(session.GoAway())})
	case "close":
		report(event{Event: "close", Error: text(session.Close())})
	default:
		fail(fmt.Errorf("unknown order %q", order))
	}
}

// openAtOnce gives how many bytes came back as they were sent, and the first error.
func openAtOnce(session *yamux.Session, streams int, size int64) (int64, error) {
	type outcome struct {
		copied int64
		err    error
	}
	outcomes := make(chan outcome, streams)
	for range streams {
		go func() {
			copied, err := sendAndWant(session, size)
			outcomes <- outcome{copied, err}
		}()
	}
	var copied int64
	var failure error
	for range streams {
		each := <-outcomes
		copied += each.copied
		if failure == nil {
			failure = each.err
		}
	}
	return copied, failure
}

func sendAndWant(session *yamux.Session, size int64) (int64, error) {
	stream, err := session.OpenStream()
	if err != nil {
		return 0, err
	}
	sent := sha256.New()
	written := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, io.TeeReader(io.LimitReader(rand.Reader, size), sent))
		// Half-close: yamux still reads.
		written <- errors.Join(err, stream.Close())
	}()
	received := sha256.New()
	copied, err := io.Copy(received, stream)
	if err := errors.Join(<-written, err); err != nil {
		return copied, err
	}
	if copied != size || !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		return copied, fmt.Errorf("sent %d bytes, other %d came back", size, copied)
	}
	return copied, nil
}
