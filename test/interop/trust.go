package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// trust is what management-cluster.crt says: every certificate in it is a root, and the only DNS name of the first is
// the server's name, whatever address is dialled.
type trust struct {
	name  string
	roots *x509.CertPool
}

func readTrust(file string) (trust, error) {
	bundle, err := os.ReadFile(file)
	if err != nil {
		return trust{}, err
	}
	first, _ := pem.Decode(bundle)
	if first == nil {
		return trust{}, fmt.Errorf("%s holds no PEM", file)
	}
	naming, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return trust{}, err
	}
	if len(naming.DNSNames) != 1 {
		return trust{}, fmt.Errorf("the first certificate must have exactly one DNS name, not %d", len(naming.DNSNames))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return trust{naming.DNSNames[0], roots}, nil
}

func readRoots(file string) (*x509.CertPool, error) {
	bundle, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return roots, nil
}

func tlsVersion(name string) (uint16, error) {
	switch name {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errors.New("a TLS version is 1.2 or 1.3")
}
