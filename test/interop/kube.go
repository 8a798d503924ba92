package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
)

type kubeOptions struct {
	url      string
	goldmane string
	ca       string
	token    string
}

// newKubeHandler leads to the Kubernetes API, with the agent's token in the place of any other, and to Goldmane, whose
// answers end in trailers; 404 elsewhere.
func newKubeHandler(options kubeOptions) (http.Handler, error) {
	target, err := url.Parse(options.url)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(options.ca)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		// Watches: every write goes on at once.
		FlushInterval: -1,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			// Seen at Guardian: the host passes, and of the X-Forwarded headers only the address is filled.
			request.Out.Host = request.In.Host
			forwarded := request.In.Header["X-Forwarded-For"]
			if address, _, err := net.SplitHostPort(request.In.RemoteAddr); err == nil {
				forwarded = append(forwarded[:len(forwarded):len(forwarded)], address)
			}
			request.Out.Header.Set("X-Forwarded-For", strings.Join(forwarded, ", "))
			request.Out.Header.Set("X-Forwarded-Host", "")
			// Read anew for each request: a cluster's tokens change. Without one the API says 401.
			token, _ := os.ReadFile(options.token)
			request.Out.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", proxy)
	mux.Handle("/apis/", proxy)
	if options.goldmane != "" {
		goldmane, err := url.Parse(options.goldmane)
		if err != nil {
			return nil, err
		}
		mux.Handle("/goldmane.Statistics/List", &httputil.ReverseProxy{
			Transport:     transport,
			FlushInterval: -1,
			Rewrite:       func(request *httputil.ProxyRequest) { request.SetURL(goldmane) },
		})
	}
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		mux.ServeHTTP(answer, request)
	}), nil
}
