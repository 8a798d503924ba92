package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// openEgress listens on a Unix socket for the API server's CONNECTs: whatever it dials on behalf of the cluster
// (kubelets, webhooks, aggregated APIs) may lead to loopback and nowhere else. Without it such addresses would leave
// this machine by its default route.
func openEgress(ctx context.Context, socket string) (net.Listener, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go passToLoopback(ctx, conn)
		}
	}()
	return listener, nil
}

func passToLoopback(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	host, _, err := net.SplitHostPort(request.Host)
	address := net.ParseIP(host)
	if request.Method != http.MethodConnect || err != nil || !(host == "localhost" || address.IsLoopback()) {
		_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		return
	}
	target, err := (&net.Dialer{}).DialContext(ctx, "tcp", request.Host)
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer func() { _ = target.Close() }()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	pump := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		// Half-close: an exec's stdin ends before its output does.
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		ended <- struct{}{}
	}
	go pump(target, reader)
	go pump(conn, target)
	<-ended
	<-ended
}
