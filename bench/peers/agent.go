package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

type agentOptions struct {
	tunnel, trust, name string
	sink, mode          string
}

// runAgent is Guardian's wiring with one session: what the streams carry goes to the sink, as they come (tcp) or through
// an HTTPS server and a reverse proxy, as in Guardian (https; http: the same without the inner TLS).
func runAgent(ctx context.Context, flags *flag.FlagSet, given []string) error {
	var o agentOptions
	tunnelFlags(flags, &o)
	flags.StringVar(&o.sink, "sink", "", "host:port behind the agent")
	flags.StringVar(&o.mode, "mode", "tcp", "tcp, https, http")
	_ = flags.Parse(given)

	pair, err := selfSigned(0)
	if err != nil {
		return err
	}
	session, err := dialTunnel(ctx, o, pair)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = session.Close() })
	report(event{Event: "connected"})
	switch o.mode {
	case "tcp":
		return forwardAll(session, o.sink)
	case "http":
		return (&http.Server{Handler: proxyTo(o.sink), ErrorLog: log.New(io.Discard, "", 0)}).Serve(session)
	case "https":
		server := &http.Server{
			Handler:   proxyTo(o.sink),
			ErrorLog:  log.New(io.Discard, "", 0),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		}
		return server.ServeTLS(session, "", "")
	}
	return fmt.Errorf("unknown mode %q", o.mode)
}

// runAgents holds many idle sessions in one process, each with a certificate of its own.
func runAgents(ctx context.Context, flags *flag.FlagSet, given []string) error {
	var o agentOptions
	tunnelFlags(flags, &o)
	count := flags.Int("count", 1000, "sessions")
	_ = flags.Parse(given)

	// As many handshakes at a time as a server may let one address have.
	slots := make(chan struct{}, 32)
	var group sync.WaitGroup
	failed := make(chan error, *count)
	for number := range *count {
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer group.Done()
			defer func() { <-slots }()
			pair, err := selfSigned(int64(number))
			if err == nil {
				_, err = dialTunnel(ctx, o, pair)
			}
			if err != nil {
				failed <- err
			}
		}()
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	report(event{Event: "connected", Count: *count})
	<-ctx.Done()
	return nil
}

func tunnelFlags(flags *flag.FlagSet, o *agentOptions) {
	flags.StringVar(&o.tunnel, "tunnel", "", "host:port of the tunnel server")
	flags.StringVar(&o.trust, "trust", "", "file: its roots")
	flags.StringVar(&o.name, "name", "", "the name in its certificate")
}

func dialTunnel(ctx context.Context, o agentOptions, pair tls.Certificate) (*yamux.Session, error) {
	roots, err := readRoots(o.trust)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dialler := tls.Dialer{Config: &tls.Config{
		ServerName:   o.name,
		RootCAs:      roots,
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
	}}
	conn, err := dialler.DialContext(bounded, "tcp", o.tunnel)
	if err != nil {
		return nil, err
	}
	return yamux.Client(conn, sessionConfig())
}

func forwardAll(session *yamux.Session, sink string) error {
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return err
		}
		go func() {
			conn, err := net.Dial("tcp", sink)
			if err != nil {
				_ = stream.Close()
				return
			}
			join(stream, conn.(*net.TCPConn))
		}()
	}
}

func proxyTo(sink string) http.Handler {
	target := &url.URL{Scheme: "http", Host: sink}
	return &httputil.ReverseProxy{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1000, MaxIdleConns: 1000, DisableCompression: true},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite:       func(request *httputil.ProxyRequest) { request.SetURL(target) },
	}
}
