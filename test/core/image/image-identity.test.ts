import { expect, test } from '@jest/globals';
import { identityOf } from '../../../core/image/image-identity.ts';
import { digestOf, imageOf } from './judged-images.ts';

test('an image is known by all that any of its reports, and any name it has had, calls it', () => {
  const image = imageOf(
    {
      findings: [],
      references: ['nginx:1.27', `ghcr.io/shop/web@${digestOf('a')}`, 'web.tar', 'Not A Reference'],
      digests: [digestOf('b')],
      platform: 'linux/arm64/v8',
      bom: 'urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1',
    },
    {
      scannerName: 'grype',
      findings: [],
      references: ['docker.io/library/nginx:stable', 'nginx@sha256:12', 'out/web.tar.gz'],
    },
  );
  // The reference that the request has given, beside those that the report has.
  const results = image.results.map((each) => ({ ...each, image: 'mirror.example/web:2' }));
  const names = [
    { alias: 'registry.example/shop/web:1' },
    { alias: digestOf('c') },
    { alias: 'sha256:5000/x:1' },
  ];
  const { digests, repositories, boms, architectures } = identityOf({ ...image, results, names });
  expect(new Set(digests)).toEqual(new Set(['a', 'b', 'c'].map(digestOf)));
  expect(Object.fromEntries([...repositories].map(([path, tags]) => [path, [...tags]]))).toEqual({
    'docker.io/library/nginx': ['1.27', 'stable'],
    'ghcr.io/shop/web': [],
    'registry.example/shop/web': ['1'],
    'sha256:5000/x': ['1'],
    'mirror.example/web': ['2'],
  });
  expect([...boms]).toEqual(['urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1']);
  expect([...architectures]).toEqual(['arm64']);
});
