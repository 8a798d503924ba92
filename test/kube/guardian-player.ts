/**
 * Plays Guardian's pod and what the operator makes for it. SIMULATED as operator-player.ts says; but it carries requests:
 * an agent of ours (test/interop, Go, hashicorp/yamux) dials with the certificate and the key that lie in the Secret,
 * started anew whenever that changes, as the operator restarts Guardian's pod.
 */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { type GoAgent, startGoAgent } from '../interop/go-agent.ts';
import { type AppliedObjects, referenceTo } from './applied-objects.ts';
import type { KubeClient, KubeObject } from './kube-client.ts';
import type { Kube } from './kube-process.ts';

/** One start of Guardian. */
export type GuardianLife = {
  /** Lower-case hex SHA-256 of the DER. */
  readonly fingerprint: string;
  readonly tunnelAddress: string;
  readonly agent: GoAgent;
};

const tunnelSecret = '/api/v1/namespaces/tigera-operator/secrets/tigera-managed-cluster-connection';
const logTrustSecrets = ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public'];

const secret = z.looseObject({ data: z.record(z.string(), z.string()).optional() });
const connection = z.looseObject({ spec: z.looseObject({ managementClusterAddr: z.string() }) });
const tokenAnswer = z.object({ status: z.object({ token: z.string() }) });

type Options = {
  readonly kube: Kube;
  readonly client: KubeClient;
  readonly objects: AppliedObjects;
  readonly complain: (text: string) => void;
};

export class GuardianPlayer {
  /** Every start so far, the present one last. */
  readonly lives: GuardianLife[] = [];
  running: GuardianLife | undefined;
  readonly #kube: Kube;
  readonly #client: KubeClient;
  readonly #objects: AppliedObjects;
  readonly #complain: (text: string) => void;
  /** Of what it was last started with. */
  #startedWith = '';

  constructor({ kube, client, objects, complain }: Options) {
    this.#kube = kube;
    this.#client = client;
    this.#objects = objects;
    this.#complain = complain;
  }

  /** Gives why it does not run; undefined: it does. */
  async reconcile(owner: KubeObject): Promise<string | undefined> {
    const tunnelAddress = connection.parse(owner).spec.managementClusterAddr;
    const found = await this.#client.get(tunnelSecret);
    if (!found) return 'Secret tigera-managed-cluster-connection not found';
    // Releases before v3.33 run without it; what they lack then is the flows.
    const trusted = await Promise.all(
      logTrustSecrets.map((name) => this.#client.get(`/api/v1/namespaces/tigera-operator/secrets/${name}`)),
    );
    if (trusted.includes(undefined)) this.#complain('a secret with the trust in the log endpoint is missing');
    const files = filesOf(found);
    await this.#rights(owner);
    const startedWith = createHash('sha256')
      .update(JSON.stringify([tunnelAddress, files]))
      .digest('hex');
    if (startedWith !== this.#startedWith) {
      await this.stop();
      this.#startedWith = startedWith;
      await this.#start(tunnelAddress, files);
    }
    return this.running
      ? undefined
      : 'Pod calico-system/guardian has crash looping container: tigera-guardian';
  }

  /** Guardian's account, with the rights that it has everywhere (guardian.md 3). */
  async #rights(owner: KubeObject): Promise<void> {
    const metadata = (name: string) => ({ name, ownerReferences: [referenceTo(owner)] });
    const rbac = 'rbac.authorization.k8s.io';
    await this.#objects.ensure('/api/v1/namespaces/calico-system/serviceaccounts/guardian', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { ...metadata('guardian'), namespace: 'calico-system' },
    });
    const verbs = ['get', 'list', 'watch'];
    await this.#objects.ensure(`/apis/${rbac}/v1/clusterroles/calico-guardian`, {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: metadata('calico-guardian'),
      rules: [
        { apiGroups: [''], resources: ['pods', 'services', 'namespaces'], verbs },
        {
          apiGroups: ['apps'],
          resources: ['deployments', 'replicasets', 'statefulsets', 'daemonsets'],
          verbs,
        },
        { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs },
      ],
    });
    await this.#objects.ensure(`/apis/${rbac}/v1/clusterrolebindings/calico-guardian`, {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: metadata('calico-guardian'),
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'calico-guardian' },
      subjects: [{ kind: 'ServiceAccount', name: 'guardian', namespace: 'calico-system' }],
    });
  }

  /** With files that Guardian could not start with, it does not start; a later change of the Secret is the next try. */
  async #start(tunnelAddress: string, files: Readonly<Record<string, string>>): Promise<void> {
    const [trustBundle, certificate, key] = [
      files['management-cluster.crt'],
      files['managed-cluster.crt'],
      files['managed-cluster.key'],
    ];
    if (!trustBundle || !certificate || !key) {
      this.#complain(
        `the Secret holds ${Object.keys(files).sort().join(', ') || 'nothing'}: Guardian cannot start`,
      );
      return;
    }
    const parsed = parsedPair(certificate, key);
    if (!parsed) {
      this.#complain('certificate and key in the Secret are no pair: Guardian cannot start');
      return;
    }
    const account = '/api/v1/namespaces/calico-system/serviceaccounts/guardian/token';
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 7200 },
    };
    const { status } = tokenAnswer.parse(await this.#client.create(account, request));
    const kubeApi = { url: this.#kube.url, ca: this.#kube.ca, token: status.token };
    const agent = await startGoAgent({ tunnelAddress, certificate, key, trustBundle, kubeApi });
    this.running = { fingerprint: parsed, tunnelAddress, agent };
    this.lives.push(this.running);
  }

  async stop(): Promise<void> {
    const life = this.running;
    this.running = undefined;
    this.#startedWith = '';
    await life?.agent.close();
  }
}

const filesOf = (found: KubeObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(secret.parse(found).data ?? {}).map(([name, text]) => [
      name,
      Buffer.from(text, 'base64').toString('utf8'),
    ]),
  );

/** The certificate's fingerprint; undefined when the two do not belong together, or are none. */
function parsedPair(certificate: string, key: string): string | undefined {
  try {
    const parsed = new X509Certificate(certificate);
    if (!parsed.checkPrivateKey(createPrivateKey(key))) return undefined;
    return createHash('sha256').update(parsed.raw).digest('hex');
  } catch {
    return undefined;
  }
}
