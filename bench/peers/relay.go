package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// relay is a tunnel server as one writes it in Go: agents come by mTLS, the newest one's session carries the public side.
type relay struct {
	session     atomic.Pointer[yamux.Session]
	fingerprint atomic.Pointer[[32]byte]
	count       atomic.Int64
}

type relayOptions struct {
	mode, inner                  string
	tunnelCertificate, tunnelKey string
	publicCertificate, publicKey string
}

func runRelay(ctx context.Context, flags *flag.FlagSet, given []string) error {
	var o relayOptions
	flags.StringVar(&o.mode, "mode", "tcp", "tcp: each connection a stream; request: HTTPS, each request a stream; pooled: HTTPS, streams kept; h2: HTTPS, requests share one stream")
	flags.StringVar(&o.inner, "inner", "tls", "inside the streams of HTTPS: tls, plain")
	flags.StringVar(&o.tunnelCertificate, "tunnel-certificate", "", "file, for agents")
	flags.StringVar(&o.tunnelKey, "tunnel-key", "", "file")
	flags.StringVar(&o.publicCertificate, "public-certificate", "", "file, for users of HTTPS")
	flags.StringVar(&o.publicKey, "public-key", "", "file")
	_ = flags.Parse(given)

	r := &relay{}
	tunnel, err := r.listenForAgents(o)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	report(event{Event: "listening", Tunnel: tunnel.Addr().String(), Public: public.Addr().String()})
	failed := make(chan error, 2)
	go func() { failed <- r.acceptAgents(tunnel) }()
	if o.mode == "tcp" {
		go func() { failed <- r.acceptConnections(public) }()
	} else {
		server := &http.Server{Handler: r.handler(o), ErrorLog: log.New(io.Discard, "", 0)}
		go func() { failed <- server.ServeTLS(public, o.publicCertificate, o.publicKey) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (r *relay) listenForAgents(o relayOptions) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(o.tunnelCertificate, o.tunnelKey)
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAnyClientCert,
		MinVersion:   tls.VersionTLS13,
	})
}

func (r *relay) acceptAgents(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go r.admit(conn.(*tls.Conn))
	}
}

func (r *relay) admit(conn *tls.Conn) {
	if err := conn.Handshake(); err != nil {
		_ = conn.Close()
		return
	}
	session, err := yamux.Server(conn, relayConfig())
	if err != nil {
		_ = conn.Close()
		return
	}
	fingerprint := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	r.fingerprint.Store(&fingerprint)
	r.session.Store(session)
	report(event{Event: "agent", Count: int(r.count.Add(1))})
	for {
		// Streams of the cluster's have no place here.
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		_ = stream.Close()
	}
}

func (r *relay) open() (*yamux.Stream, error) {
	session := r.session.Load()
	if session == nil {
		return nil, errors.New("no agent is connected")
	}
	return session.OpenStream()
}

func (r *relay) acceptConnections(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			stream, err := r.open()
			if err != nil {
				_ = conn.Close()
				return
			}
			join(stream, conn.(*net.TCPConn))
		}()
	}
}

// handler passes requests under /clusters/{id} into the tunnel.
func (r *relay) handler(o relayOptions) http.Handler {
	transport := &http.Transport{
		DisableKeepAlives:   o.mode == "request",
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1000,
		MaxIdleConns:        1000,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   o.mode == "h2",
	}
	target := &url.URL{Scheme: "https", Host: "cluster"}
	if o.inner == "plain" {
		target.Scheme = "http"
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return r.open() }
	} else {
		transport.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return r.openPinned(ctx, o.mode == "h2")
		}
	}
	return &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			if parts := strings.SplitN(request.In.URL.Path, "/", 4); len(parts) == 4 {
				request.Out.URL.Path = "/" + parts[3]
			}
			request.Out.Header.Del("Authorization")
		},
	}
}

// openPinned opens a stream and TLS in it, to nobody but who holds the key of the tunnel's own certificate.
func (r *relay) openPinned(ctx context.Context, http2 bool) (net.Conn, error) {
	stream, err := r.open()
	if err != nil {
		return nil, err
	}
	protocols := []string{"http/1.1"}
	if http2 {
		protocols = []string{"h2"}
	}
	secured := tls.Client(stream, &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         protocols,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if pin := r.fingerprint.Load(); pin == nil || len(raw) == 0 || sha256.Sum256(raw[0]) != *pin {
				return fmt.Errorf("another certificate inside than outside")
			}
			return nil
		},
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = stream.Close()
		return nil, err
	}
	return secured, nil
}
