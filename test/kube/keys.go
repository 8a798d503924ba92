package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keys are the parts' certificates; each lies as a file too, which is how they take them.
type keys struct {
	ca    *x509.Certificate
	admin tls.Certificate
}

func writeKeys(dir string) (*keys, error) {
	w := &keyWriter{dir: dir, serial: 1}
	caKey := w.key("ca")
	ca := w.certificate("ca", caKey, nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kube test root"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	w.ca, w.caKey = ca, caKey
	w.certificate("server", w.key("server"), ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	})
	w.certificate("admin", w.key("admin"), ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	accounts := w.key("accounts")
	if w.err == nil {
		w.public("accounts", accounts.Public())
	}
	if w.err != nil {
		return nil, w.err
	}
	admin, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	return &keys{ca: ca, admin: admin}, err
}

// keyWriter keeps its first error, and does nothing after it.
type keyWriter struct {
	dir    string
	serial int64
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	err    error
}

func (w *keyWriter) key(name string) *ecdsa.PrivateKey {
	if w.err != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.err = err
		return nil
	}
	der, err := x509.MarshalECPrivateKey(key)
	w.write(name+".key", "EC PRIVATE KEY", der, err)
	return key
}

// certificate signs with the root, or with the key itself while there is none.
func (w *keyWriter) certificate(name string, key *ecdsa.PrivateKey, parent, template *x509.Certificate) *x509.Certificate {
	if w.err != nil {
		return nil
	}
	signer := w.caKey
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(w.serial)
	w.serial++
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	w.write(name+".crt", "CERTIFICATE", der, err)
	if w.err != nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(der)
	w.err = err
	return certificate
}

func (w *keyWriter) public(name string, key crypto.PublicKey) {
	der, err := x509.MarshalPKIXPublicKey(key)
	w.write(name+".pub", "PUBLIC KEY", der, err)
}

func (w *keyWriter) write(name, kind string, der []byte, err error) {
	if w.err == nil {
		w.err = err
	}
	if w.err == nil {
		w.err = os.WriteFile(filepath.Join(w.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
}
