package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// layout is where everything lies: files in one directory, ports of loopback.
type layout struct {
	dir   string
	ports struct{ api, etcd, etcdPeer, controllerManager, scheduler, kubelet int }
	// Where port-forwards to pods lead.
	forward int
	keys    *keys
}

func newLayout(dir string, forward int) (*layout, error) {
	if dir == "" {
		return nil, fmt.Errorf("-dir is missing")
	}
	l := &layout{dir: dir, forward: forward}
	for _, port := range []*int{
		&l.ports.api, &l.ports.etcd, &l.ports.etcdPeer, &l.ports.controllerManager, &l.ports.scheduler, &l.ports.kubelet,
	} {
		found, err := freePort()
		if err != nil {
			return nil, err
		}
		*port = found
	}
	var err error
	if l.keys, err = writeKeys(dir); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"admin.kubeconfig": l.kubeconfig(),
		"egress.yaml":      l.egressConfiguration(),
		"kwok.yaml":        l.kwokConfiguration(),
		"pod.log":          "2026-11-23T00:00:00.000000000Z stdout F the first line\n",
	} {
		if err := os.WriteFile(l.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *layout) file(name string) string { return filepath.Join(l.dir, name) }
func (l *layout) egress() string          { return l.file("egress.sock") }
func (l *layout) url() string             { return fmt.Sprintf("https://127.0.0.1:%d", l.ports.api) }
func (l *layout) etcdURL() string         { return fmt.Sprintf("http://127.0.0.1:%d", l.ports.etcd) }

func (l *layout) adminTransport() *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(l.keys.ca)
	return &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{l.keys.admin},
		MinVersion:   tls.VersionTLS12,
	}}
}

func (l *layout) etcdFlags() []string {
	return []string{
		"--data-dir=" + l.file("etcd"),
		"--listen-client-url=" + l.etcdURL(),
		fmt.Sprintf("--listen-peer-url=http://127.0.0.1:%d", l.ports.etcdPeer),
	}
}

func (l *layout) apiServerFlags() []string {
	return []string{
		"--etcd-servers=" + l.etcdURL(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", l.ports.api),
		"--tls-cert-file=" + l.file("server.crt"),
		"--tls-private-key-file=" + l.file("server.key"),
		"--client-ca-file=" + l.file("ca.crt"),
		"--kubelet-client-certificate=" + l.file("admin.crt"),
		"--kubelet-client-key=" + l.file("admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.file("accounts.pub"),
		"--service-account-signing-key-file=" + l.file("accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--egress-selector-config-file=" + l.file("egress.yaml"),
		// The address that it would announce is loopback, which an Endpoints object may not hold.
		"--endpoint-reconciler-type=none",
	}
}

func (l *layout) controllerManagerFlags() []string {
	return []string{
		"--kubeconfig=" + l.file("admin.kubeconfig"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", l.ports.controllerManager),
		"--leader-elect=false",
		"--service-account-private-key-file=" + l.file("accounts.key"),
		"--root-ca-file=" + l.file("ca.crt"),
		"--use-service-account-credentials=false",
	}
}

func (l *layout) schedulerFlags() []string {
	return []string{
		"--kubeconfig=" + l.file("admin.kubeconfig"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", l.ports.scheduler),
		"--leader-elect=false",
	}
}

func (l *layout) kwokFlags() []string {
	return []string{
		"--kubeconfig=" + l.file("admin.kubeconfig"),
		"--config=" + l.file("kwok.yaml"),
		"--manage-all-nodes=true",
		"--cidr=10.0.0.1/24",
		"--node-ip=127.0.0.1",
		fmt.Sprintf("--node-port=%d", l.ports.kubelet),
		fmt.Sprintf("--server-address=127.0.0.1:%d", l.ports.kubelet),
		"--tls-cert-file=" + l.file("server.crt"),
		"--tls-private-key-file=" + l.file("server.key"),
	}
}

func (l *layout) kubeconfig() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: admin
clusters:
- name: kube
  cluster: {server: %q, certificate-authority: %q}
users:
- name: admin
  user: {client-certificate: %q, client-key: %q}
contexts:
- name: admin
  context: {cluster: kube, user: admin}
`, l.url(), l.file("ca.crt"), l.file("admin.crt"), l.file("admin.key"))
}

func (l *layout) egressConfiguration() string {
	return fmt.Sprintf(`apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds: {udsName: %q}
`, l.egress())
}

// kwokConfiguration lets every pod have a log from a file, and run commands on this host where exec asks for one.
func (l *layout) kwokConfiguration() string {
	return fmt.Sprintf(`apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: every}
spec:
  logs:
  - {logsFile: %q}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterAttach
metadata: {name: every}
spec:
  attaches:
  - {logsFile: %q}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata: {name: every}
spec:
  execs:
  - local: {workDir: %q}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata: {name: every}
spec:
  forwards:
  - target: {address: 127.0.0.1, port: %d}
`, l.file("pod.log"), l.file("pod.log"), l.dir, l.forward)
}
