import { manifestNames, type Release } from '../../../core/release/release-schema.ts';

/** A release that nobody released, as one file of the catalogue has it. */
export const madeRelease = (version: string, members: Partial<Release> = {}): Release => ({
  version,
  default: false,
  support: 'current',
  released: '2026-01-01',
  operatorVersion: 'v1.0.0',
  kubernetes: { min: '1.30', max: '1.31' },
  quirks: ['none'],
  manifests: manifestNames.map((name, at) => ({
    name,
    url: `https://upstream.example/${version}/manifests/${name}`,
    sha256: String(at).repeat(64),
    bytes: 10,
  })),
  images: [
    { image: 'registry.example/tigera/operator:v1.0.0', use: 'always' },
    {
      image: `registry.example/calico/node:${version}`,
      digest: `sha256:${'d'.repeat(64)}`,
      use: 'always',
    },
    { image: `registry.example/calico/node-windows:${version}`, use: 'windows' },
    { image: `registry.example/calico/node:${version}-fips`, use: 'fips' },
  ],
  ...members,
});
