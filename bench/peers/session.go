package main

import (
	"io"
	"net"
	"os"
	"time"

	"github.com/hashicorp/yamux"
)

// sessionConfig is Guardian's: it pings every 100 ms after the last reply, and lets a write or a ping take 10 s.
func sessionConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.AcceptBacklog = 1000
	config.KeepAliveInterval = 100 * time.Millisecond
	config.LogOutput = os.Stderr
	return config
}

// relayConfig is a server's: it pings at the library's own pace.
func relayConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.AcceptBacklog = 1000
	config.LogOutput = io.Discard
	return config
}

// halfCloser is a connection whose writing side ends alone.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// join copies both ways until both have ended; the end of one way is passed on and leaves the other.
func join(stream *yamux.Stream, conn halfCloser) {
	ended := make(chan struct{})
	go func() {
		_, err := io.Copy(conn, stream)
		if err != nil {
			_ = conn.Close()
		}
		_ = conn.CloseWrite()
		close(ended)
	}()
	_, err := io.Copy(stream, conn)
	// FIN: what the peer still sends is read on.
	_ = stream.Close()
	if err != nil {
		_ = conn.Close()
	}
	<-ended
	_ = conn.Close()
}
