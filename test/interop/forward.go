package main

import (
	"context"
	"io"
	"net"
)

// listen takes what Guardian takes on :8080: each TCP connection becomes a stream to the control plane, byte for byte.
func (a *agent) listen(ctx context.Context) error {
	listener, err := net.Listen("tcp", a.options.listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	report(event{Event: "listening", Address: listener.Addr().String()})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go a.forward(conn)
		}
	}()
	return nil
}

func (a *agent) forward(conn net.Conn) {
	stream, err := a.current().Open()
	if err != nil {
		_ = conn.Close()
		return
	}
	ended := make(chan struct{}, 2)
	pump := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go pump(stream, conn)
	go pump(conn, stream)
	// Guardian knows no half-close: the first end ends both.
	<-ended
	_ = stream.Close()
	_ = conn.Close()
	<-ended
}
