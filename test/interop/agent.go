package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// agentOptions are what Guardian reads from its environment and its mounted files; the defaults are Guardian's.
type agentOptions struct {
	tunnel          string
	trust           string
	certificate     string
	key             string
	tls             string
	listen          string
	kube            kubeOptions
	keepAlive       time.Duration
	writeTimeout    time.Duration
	sessionInterval time.Duration
	redialInterval  time.Duration
	dialTimeout     time.Duration
	proxy           string
	proxyRoots      string
	copies          int
}

var noDeadline time.Time

func agentFlags(flags *flag.FlagSet, given []string) agentOptions {
	var o agentOptions
	flags.StringVar(&o.tunnel, "tunnel", "", "host:port of the control plane")
	flags.StringVar(&o.trust, "trust", "", "file: management-cluster.crt")
	flags.StringVar(&o.certificate, "certificate", "", "file: managed-cluster.crt")
	flags.StringVar(&o.key, "key", "", "file: managed-cluster.key")
	flags.StringVar(&o.tls, "tls", "1.3", "highest TLS version towards the control plane")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "where the cluster's own connections arrive")
	flags.StringVar(&o.kube.url, "kube-url", "", "the Kubernetes API")
	flags.StringVar(&o.kube.ca, "kube-ca", "", "file: roots of the Kubernetes API")
	flags.StringVar(&o.kube.goldmane, "goldmane-url", "", "Goldmane, behind the same roots")
	flags.StringVar(&o.kube.token, "kube-token", "", "file: bearer token for the Kubernetes API")
	flags.DurationVar(&o.keepAlive, "keep-alive", 100*time.Millisecond, "between a ping's reply and the next ping")
	flags.DurationVar(&o.writeTimeout, "write-timeout", 10*time.Second, "for a write, and for the reply to a ping")
	flags.DurationVar(&o.sessionInterval, "session-interval", 2*time.Second, "sessions begin at least this far apart")
	flags.DurationVar(&o.redialInterval, "redial-interval", 5*time.Second, "after a dial that failed")
	flags.DurationVar(&o.dialTimeout, "dial-timeout", 10*time.Second, "for TCP and TLS together")
	flags.StringVar(&o.proxy, "proxy", "", "URL of the forward proxy on the way to the control plane")
	flags.StringVar(&o.proxyRoots, "proxy-roots", "", "file: roots of an https proxy")
	flags.IntVar(&o.copies, "copies", 1, "how many agents with this certificate run beside each other")
	// ExitOnError: it does not return one.
	_ = flags.Parse(given)
	return o
}

// agent is Guardian's wiring: one session to the control plane, which is both the listener of the HTTPS server that
// leads into the cluster and the way out for what connects to the local listener.
type agent struct {
	options agentOptions
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	config  *tls.Config
	server  *http.Server

	lock    sync.Mutex
	session *yamux.Session
	since   time.Time
	conn    *countingConn
}

func runAgent(ctx context.Context, options agentOptions, orders <-chan string) error {
	ended := make(chan error, options.copies)
	for range options.copies - 1 {
		a, err := newAgent(options)
		if err != nil {
			return err
		}
		go func() { ended <- a.run(ctx) }()
	}
	a, err := newAgent(options)
	if err != nil {
		return err
	}
	go func() {
		for order := range orders {
			if order == "pings" {
				a.reportPings()
			}
		}
	}()
	ended <- a.run(ctx)
	for range options.copies {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (a *agent) run(ctx context.Context) error {
	context.AfterFunc(ctx, func() {
		if session := a.current(); session != nil {
			_ = session.Close()
		}
	})
	return a.keepConnected(ctx)
}

func newAgent(options agentOptions) (*agent, error) {
	trusted, err := readTrust(options.trust)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(options.certificate, options.key)
	if err != nil {
		return nil, err
	}
	highest, err := tlsVersion(options.tls)
	if err != nil {
		return nil, err
	}
	handler, err := newKubeHandler(options.kube)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{}).DialContext
	if options.proxy != "" {
		through, err := newProxyDialler(options.proxy, options.proxyRoots)
		if err != nil {
			return nil, err
		}
		dial = through.DialContext
	}
	return &agent{
		options: options,
		dial:    dial,
		config: &tls.Config{
			ServerName:   trusted.name,
			RootCAs:      trusted.roots,
			Certificates: []tls.Certificate{pair},
			MinVersion:   tls.VersionTLS12,
			MaxVersion:   highest,
		},
		// The control plane is shown the certificate that it was shown outside.
		server: &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}},
	}, nil
}

// keepConnected dials until the context ends: the first redial at once, but sessions at least an interval apart.
func (a *agent) keepConnected(ctx context.Context) error {
	isListening := false
	for ctx.Err() == nil {
		session, err := a.begin(ctx)
		if err != nil {
			report(event{Event: "dial failed", Error: text(err)})
			pause(ctx, a.options.redialInterval)
			continue
		}
		if !isListening {
			// Guardian opens its port only once its first session is up.
			if err := a.listen(ctx); err != nil {
				return err
			}
			isListening = true
		}
		// It is a listener; serving ends with it, and closes it.
		err = a.server.ServeTLS(session, "", "")
		report(event{Event: "lost", Error: text(err), GoAways: a.conn.goAways.Load()})
		pause(ctx, time.Until(a.since.Add(a.options.sessionInterval)))
	}
	return nil
}

func (a *agent) begin(ctx context.Context) (*yamux.Session, error) {
	bounded, cancel := context.WithTimeout(ctx, a.options.dialTimeout)
	defer cancel()
	dialled, err := a.dial(bounded, "tcp", a.options.tunnel)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(dialled, a.config)
	if err := secured.HandshakeContext(bounded); err != nil {
		_ = dialled.Close()
		return nil, err
	}
	conn := &countingConn{Conn: secured}
	config := yamux.DefaultConfig()
	config.AcceptBacklog = 1000
	config.KeepAliveInterval = a.options.keepAlive
	config.ConnectionWriteTimeout = a.options.writeTimeout
	config.LogOutput = os.Stderr
	session, err := yamux.Client(conn, config)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	a.lock.Lock()
	a.session, a.conn, a.since = session, conn, time.Now()
	a.lock.Unlock()
	if ctx.Err() != nil {
		_ = session.Close()
	}
	report(event{Event: "connected", TLS: tls.VersionName(secured.ConnectionState().Version)})
	return session, nil
}

func (a *agent) current() *yamux.Session {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.session
}

// reportPings says how many the present session has sent, and how old it is.
func (a *agent) reportPings() {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.conn != nil {
		report(event{Event: "pings", Pings: a.conn.pings.Load(), Seconds: time.Since(a.since).Seconds()})
	}
}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
