import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { aliasOf, pathOf, readReference, written } from '../../../core/admission/image-reference.ts';

const hex = 'a'.repeat(64);
const read = (text: string) => {
  const reference = readReference(text);
  if ('fault' in reference) throw new Error(`${text}: ${reference.fault}`);
  return reference;
};

describe('A reference is written out as container runtimes do', () => {
  test.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.25', 'docker.io/library/nginx:1.25'],
    ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['DOCKER.IO/nginx:1', 'docker.io/library/nginx:1'],
    ['docker.io/library/nginx', 'docker.io/library/nginx:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['registry:5000/team/app:v1.2_3-rc', 'registry:5000/team/app:v1.2_3-rc'],
    ['10.0.0.1:5000/a/b/c', '10.0.0.1:5000/a/b/c:latest'],
    ['[2001:db8::1]:5000/app:1', '[2001:db8::1]:5000/app:1'],
    ['[::1]/app', '[::1]/app:latest'],
    ['GCR.io/project/app:V1', 'gcr.io/project/app:V1'],
    ['HOST/app', 'host/app:latest'],
    ['a__b/c--d/e.f_g', 'docker.io/a__b/c--d/e.f_g:latest'],
    [`gcr.io/p/app@sha256:${hex}`, `gcr.io/p/app@sha256:${hex}`],
    [`gcr.io/p/app:v1@sha256:${hex}`, `gcr.io/p/app@sha256:${hex}`],
    [`app@sha512:${'0'.repeat(128)}`, `docker.io/library/app@sha512:${'0'.repeat(128)}`],
    ['localhost', 'docker.io/library/localhost:latest'],
    ['example.com', 'docker.io/library/example.com:latest'],
    ['nginx:5000', 'docker.io/library/nginx:5000'],
  ])('%s is %s', (text, whole) => {
    expect(written(read(text))).toBe(whole);
  });

  test('keeps the tag beside a digest, though it is looked up by the digest alone', () => {
    const reference = read(`gcr.io/p/app:v1@sha256:${hex}`);

    expect(reference).toEqual({
      registry: 'gcr.io',
      repository: 'p/app',
      tag: 'v1',
      digest: `sha256:${hex}`,
    });
    expect(aliasOf(reference)).toBe(`sha256:${hex}`);
    expect(pathOf(reference)).toBe('gcr.io/p/app');
  });
});

describe('What no runtime would pull is refused in words', () => {
  test.each([
    ['', 'no image is named'],
    [hex, 'an ID without a repository'],
    ['Nginx', 'upper-case'],
    ['gcr.io/Team/app', 'upper-case'],
    ['nginx:', 'the tag'],
    ['nginx:-x', 'the tag'],
    [`nginx:${'x'.repeat(129)}`, 'the tag'],
    ['nginx:a:b', 'the tag'],
    ['nginx@', 'the digest'],
    ['nginx@sha256:abc', 'the digest'],
    [`nginx@sha256:${'A'.repeat(64)}`, 'the digest'],
    [`nginx@md5:${'a'.repeat(32)}`, 'the digest'],
    [`nginx@sha256:${hex}@sha256:${hex}`, 'the digest'],
    ['a//b', 'the repository'],
    ['/nginx', 'the repository'],
    ['nginx/', 'the repository'],
    ['a/b_/c', 'the repository'],
    ['a/b___c', 'the repository'],
    ['gcr.io/', 'the repository'],
    [' nginx', 'the repository'],
    ['nginx\n', 'the repository'],
    ['-host.io/app', 'the registry'],
    ['host.io:port/app', 'the registry'],
    ['[::1/app', 'the registry'],
    ['https://gcr.io/app', 'the registry'],
    [`gcr.io/${'a'.repeat(256)}`, 'longer than 255'],
    ['a'.repeat(2_000), 'longer than 1024'],
  ])('%j: %s', (text, fault) => {
    expect(readReference(text)).toEqual({ fault: expect.stringContaining(fault) });
  });
});

describe('For any reference', () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8})?$/);
  const references = fc
    .record({
      registry: fc.option(fc.constantFrom('docker.io', 'gcr.io', 'localhost:5000', '[::1]:80', 'Quay.IO')),
      parts: fc.array(part, { minLength: 1, maxLength: 3 }),
      tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/)),
      digest: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/)),
    })
    .map(({ registry, parts, tag, digest }) =>
      [
        registry === null ? '' : `${registry}/`,
        parts.join('/'),
        tag === null ? '' : `:${tag}`,
        digest === null ? '' : `@sha256:${digest}`,
      ].join(''),
    );

  test('what is written out is read as the same again', () => {
    fc.assert(
      fc.property(references, (text) => {
        const whole = written(read(text));
        expect(written(read(whole))).toBe(whole);
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  test('no text makes it throw, and what it reads has no upper case in registry and repository', () => {
    const pieces = fc.array(
      fc.oneof(fc.constantFrom('/', ':', '@', '.', 'sha256:', hex, '[', ']', 'A', '_', '-'), fc.string()),
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const reference = readReference(parts.join(''));
        if ('fault' in reference) expect(reference.fault).not.toBe('');
        else expect(pathOf(reference)).toBe(pathOf(reference).toLowerCase());
      }),
      { seed: 6, numRuns: 1_000 },
    );
  });

  test('a repository that almost matches is refused without trying it in many ways', () => {
    expect(readReference(`${'a-'.repeat(120)}-!`)).toEqual({
      fault: expect.stringContaining('the repository'),
    });
    expect(readReference(`${'a-'.repeat(400)}.io!/x`)).toEqual({ fault: expect.any(String) });
  });
});
