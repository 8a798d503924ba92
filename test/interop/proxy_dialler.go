package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// proxyDialler asks a forward proxy for a way to the control plane, as HTTPS_PROXY makes Guardian do: CONNECT over
// HTTP/1.1, with Basic authentication when the URL names a user. The proxy must answer exactly 200, and nothing after.
type proxyDialler struct {
	proxy *url.URL
	// Of an https proxy; Guardian has the system's roots here.
	config *tls.Config
}

func newProxyDialler(proxy, roots string) (*proxyDialler, error) {
	parsed, err := url.Parse(proxy)
	if err != nil {
		return nil, err
	}
	d := &proxyDialler{proxy: parsed}
	if parsed.Scheme == "https" {
		pool, err := readRoots(roots)
		if err != nil {
			return nil, err
		}
		d.config = &tls.Config{RootCAs: pool, ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return d, nil
}

func (d *proxyDialler) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, d.proxy.Host)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
		defer func() { _ = conn.SetDeadline(noDeadline) }()
	}
	if d.config != nil {
		secured := tls.Client(conn, d.config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secured
	}
	if err := d.connect(conn, address); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d *proxyDialler) connect(conn net.Conn, address string) error {
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{},
	}
	if user := d.proxy.User; user != nil {
		password, _ := user.Password()
		asked := &http.Request{Header: http.Header{}}
		asked.SetBasicAuth(user.Username(), password)
		request.Header.Set("Proxy-Authorization", asked.Header.Get("Authorization"))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answered %d", response.StatusCode)
	}
	if reader.Buffered() > 0 {
		return errors.New("the proxy sent bytes before the tunnel was in use")
	}
	return nil
}
