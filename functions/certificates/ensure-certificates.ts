import { X509Certificate } from 'node:crypto';
import { fingerprint } from '../../core/certificate/fingerprint.ts';
import { type ServerCertificates, serverCertificates } from '../../core/certificate/server-certificates.ts';
import type { Trust } from '../../core/certificate/trust-repository.ts';
import { newClusterCa, whyClusterCaDue } from './cluster-ca.ts';
import type { Change, Dependencies } from './deps.ts';
import { newRoots, type Roots, rootsPem, rootsSecret, rotatedRoots, trustBundle } from './roots.ts';
import { type LeafName, leafSpecs, newLeaf, whyDue } from './server-leaf.ts';

const attempts = 3;

export type Ensured = { readonly changed: readonly string[] };

/**
 * Makes what is missing and rotates what is due, by ordered writes: roots and hint, then the server certificates, then
 * the public trust. Run again after a failure it goes on from there, with the same hint and roots. Each secret is
 * replaced only if it is still the version that was read, so of racing runs one writes and the other starts over.
 * The trust is published last: a root is told to clusters when its certificates are ready to be shown.
 */
export async function ensureCertificates(deps: Dependencies): Promise<Ensured> {
  const changed: string[] = [];
  const told: Dependencies = {
    ...deps,
    report: (change) => {
      changed.push(change.what);
      deps.report(change);
    },
  };
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    if (await ensuredOnce(told)) return { changed };
  }
  throw new Error(
    'A secret changes under us. If no other run is under way, its AWSCURRENT label was moved back: put that value as a new version instead.',
  );
}

/** False when another run got in between. */
async function ensuredOnce(deps: Dependencies): Promise<boolean> {
  const published = await deps.trust.read();
  const roots = await ensureRoots(deps, published);
  if (!roots || !(await ensureLeaves(deps, roots))) return false;
  await publish(deps, roots, published);
  return true;
}

async function ensureRoots(deps: Dependencies, published: Trust | undefined): Promise<Roots | undefined> {
  const stored = await deps.rootsSecret.read();
  // Clusters hold the hint and the roots: made anew, they would cut off every one of them.
  if (!stored && published) {
    throw new Error('The roots secret is empty although its trust is published: restore it.');
  }
  const before = stored && readRoots(stored.text);
  if (before && published && published.hintName !== before.hint.name) {
    throw new Error('The roots secret is not the one whose trust is published: restore it.');
  }
  const roots = before
    ? await rotatedRoots(before, moment(deps))
    : await newRoots(deps.trustDomain, moment(deps));
  if (roots === before) return roots;
  if (!(await deps.rootsSecret.replace(stored?.version, JSON.stringify(roots)))) return undefined;
  const why = before ? 'the current root has less than 2 years left' : 'there are none';
  deps.report(changeOf('roots', why, roots.current.certificate));
  return roots;
}

/** What cannot be read is an error, not a reason to begin again. No part of it appears in the message. */
function readRoots(text: string): Roots {
  const { success, data } = rootsSecret.safeParse(jsonOf(text));
  if (!success) throw new Error('The roots secret cannot be read: restore it.');
  return data;
}

async function ensureLeaves(deps: Dependencies, roots: Roots): Promise<boolean> {
  const stored = await deps.tunnelSecret.read();
  // Leaves can be made anew at any time, so what cannot be read is replaced.
  const known = stored && serverCertificates.safeParse(jsonOf(stored.text)).data;
  const specs = leafSpecs(roots.hint.name, deps.accessUrl, deps.trustDomain);
  const changes: Change[] = [];
  const leaf = async (name: LeafName) => {
    const existing = known?.[name];
    const why = whyDue(existing, specs[name], roots, deps.now());
    if (existing && why === undefined) return existing;
    const made = await newLeaf(specs[name], roots, moment(deps));
    changes.push(changeOf(name, why ?? 'there is none', made.certificate));
    return made;
  };
  const wanted: ServerCertificates = {
    tunnel: await leaf('tunnel'),
    logEndpoint: await leaf('logEndpoint'),
    access: await leaf('access'),
    peer: await leaf('peer'),
    roots: rootsPem(roots),
  };
  if (changes.length === 0 && known?.roots === wanted.roots) return true;
  if (!(await deps.tunnelSecret.replace(stored?.version, JSON.stringify(wanted)))) return false;
  changes.forEach((change) => deps.report(change));
  return true;
}

/** Two runs that publish at the same time publish the same roots and hint, for those are in the secret already. */
async function publish(deps: Dependencies, roots: Roots, published: Trust | undefined): Promise<void> {
  const why = await whyClusterCaDue(deps.clusterCa, published?.clusterCa, deps.now());
  const clusterCa =
    published && why === undefined ? published.clusterCa : await newClusterCa(deps.clusterCa, moment(deps));
  const trust: Trust = {
    trustBundle: trustBundle(roots),
    roots: rootsPem(roots),
    hintName: roots.hint.name,
    clusterCa,
  };
  const same =
    published?.trustBundle === trust.trustBundle &&
    published.roots === trust.roots &&
    published.clusterCa === trust.clusterCa;
  if (same) return;
  await deps.trust.write(trust);
  deps.report(changeOf('trust', why ?? 'the roots have changed', roots.hint.certificate));
}

const moment = ({ now, random }: Dependencies) => ({ now: now(), random });

function changeOf(what: string, why: string, pem: string): Change {
  const { raw, validToDate } = new X509Certificate(pem);
  return { what, why, fingerprint: fingerprint(raw), notAfter: validToDate.toISOString() };
}

/** JSON.parse quotes what it cannot parse: that must not get into an error here. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
