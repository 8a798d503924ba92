import { describe, expect, test } from '@jest/globals';
import { limitOf } from '../../../core/admission/container-admission-policy.ts';
import { importPolicies } from '../../../core/admission/policy-import.ts';
import { Problem } from '../../../core/problem/problem.ts';

const policy = (spec: string, name = 'only-ours') => `apiVersion: containersecurity.tigera.io/v1beta1
kind: ContainerAdmissionPolicy
metadata:
  name: ${name}
  labels: { team: security }
spec:
${spec.replace(/^/gm, '  ')}
`;
const rejectAll = 'rules: [{ action: Reject }]';

function problemOf(text: string): Problem {
  try {
    importPolicies(text);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was imported');
}
const faultsOf = (spec: string) =>
  (problemOf(policy(spec)).errors ?? []).map(({ path, message }) => `${path}: ${message}`);

describe('A ContainerAdmissionPolicy is imported', () => {
  test('with all that it can say', () => {
    const text = policy(`selector: "tier == 'web'"
namespaceSelector: has(guarded)
order: 2.5
rules:
- action: "Reject"
  imagePath:
    operator: IsNoneOf
    values: ["^registry.example/team/.*"]
- action: Allow
  imageScanStatus: { operator: IsOneOf, values: [Pass, Warn] }
  imageLastScan: { operator: gt, duration: { days: 3 } }
- action: Reject`);

    expect(importPolicies(text)).toEqual([
      {
        name: 'only-ours',
        order: 2.5,
        selector: "tier == 'web'",
        namespaceSelector: 'has(guarded)',
        rules: [
          { action: 'Reject', imagePath: { operator: 'IsNoneOf', values: ['^registry.example/team/.*'] } },
          {
            action: 'Allow',
            imageScanStatus: { operator: 'IsOneOf', values: ['Pass', 'Warn'] },
            imageLastScan: { operator: 'gt', duration: { days: 3 } },
          },
          { action: 'Reject' },
        ],
      },
    ]);
  });

  test('for everything, and last, where it does not say for what', () => {
    const [read] = importPolicies(policy(rejectAll));

    expect(read).toEqual({
      name: 'only-ours',
      selector: 'all()',
      namespaceSelector: 'all()',
      rules: [{ action: 'Reject' }],
    });
  });

  test('from several documents, empty ones among them', () => {
    const text = `---\n${policy(rejectAll, 'a')}---\n---\n# nothing\n---\n${policy(rejectAll, 'b')}`;

    expect(importPolicies(text).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test("from a list as kubectl prints it, with the API server's own members", () => {
    const item = {
      apiVersion: 'containersecurity.tigera.io/v1beta1',
      kind: 'ContainerAdmissionPolicy',
      metadata: { name: 'a', uid: 'x', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { rules: [{ action: 'Allow' }] },
      status: {},
    };

    expect(importPolicies(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item] }))).toHaveLength(1);
  });
});

describe('A policy that cannot be taken is refused whole, with the place', () => {
  test.each([
    ['rules: []', '/0/spec/rules: '],
    ['rules: [{ action: Deny }]', '/0/spec/rules/0/action: '],
    [
      'rules: [{ action: Allow, imageScanStaus: { operator: IsOneOf, values: [Pass] } }]',
      '/0/spec/rules/0: ',
    ],
    ['rules: [{ action: Allow, imagePath: { operator: Is, values: [a] } }]', '/imagePath/operator: '],
    ['rules: [{ action: Allow, imagePath: { operator: IsOneOf, values: [] } }]', '/imagePath/values: '],
    [
      'rules: [{ action: Allow, imagePath: { operator: IsOneOf, values: ["(a"] } }]',
      '/imagePath/values/0: the pattern has a group that does not end',
    ],
    [
      'rules: [{ action: Allow, imageScanStatus: { operator: IsOneOf, values: [passed] } }]',
      'Status/values/0: ',
    ],
    ['rules: [{ action: Allow, imageLastScan: { operator: gt } }]', 'must have either duration or time'],
    [
      'rules: [{ action: Allow, imageLastScan: { operator: gt, duration: { days: 1 }, time: "2026-01-01T00:00:00Z" } }]',
      'must have either duration or time',
    ],
    ['rules: [{ action: Allow, imageLastScan: { operator: ge, duration: { days: 1 } } }]', '/operator: '],
    [
      'rules: [{ action: Allow, imageLastScan: { operator: gt, duration: { days: -1 } } }]',
      '/duration/days: ',
    ],
    ['rules: [{ action: Allow, imageLastScan: { operator: gt, duration: { hours: 1 } } }]', '/duration: '],
    ['rules: [{ action: Allow, imageLastScan: { operator: gt, time: "2026-02-30T00:00:00Z" } }]', '/time: '],
    ['rules: [{ action: Allow, imageLastScan: { operator: gt, time: yesterday } }]', '/time: '],
    [`${rejectAll}\nselector: "env = 'prod'"`, '/0/spec/selector: the selector has something else than'],
    [`${rejectAll}\nnamespaceSelector: "has("`, '/0/spec/namespaceSelector: the selector '],
    [`${rejectAll}\norder: high`, '/0/spec/order: '],
    [`${rejectAll}\nnamespace: x`, '/0/spec: '],
  ])('%s', (spec, fault) => {
    const faults = faultsOf(spec);

    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(fault);
  });

  test('another kind, another group, no name, a name twice', () => {
    const kinds = problemOf('kind: Pod\napiVersion: v1\nmetadata: {}\nspec: {}').errors ?? [];
    expect(kinds.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/0/apiVersion', '/0/kind', '/0/metadata/name']),
    );
    expect(problemOf(`${policy(rejectAll)}---\n${policy(rejectAll)}`).errors).toEqual([
      { path: '/1/metadata/name', message: 'is the name of another of these policies' },
    ]);
  });

  test('one good policy beside a faulty one is not taken alone', () => {
    const problem = problemOf(`${policy(rejectAll, 'good')}---\n${policy('rules: []', 'bad')}`);

    expect(problem.code).toBe('INVALID_REQUEST');
    expect(problem.errors?.[0]?.path).toBe('/1/spec/rules');
  });

  test.each([
    ['', 'no ContainerAdmissionPolicy'],
    ['# only a comment', 'no ContainerAdmissionPolicy'],
    ['a: [1', 'This is not YAML'],
    ['a: 1\na: 2', 'DUPLICATE_KEY in line 2'],
    ['a: 1\nb: [{ c: 1, "c": 2 }]', 'DUPLICATE_KEY in line 2, column 13'],
    ['[a]: 1', 'This is not YAML'],
    ['a: &x [1]\nb: *x', 'aliases'],
  ])('%j with INVALID_REQUEST: %s', (text, message) => {
    const problem = problemOf(text);

    expect(problem.code).toBe('INVALID_REQUEST');
    expect(problem.message).toContain(message);
  });

  test('never repeats what stands there', () => {
    const secret = 'hunter2-hunter2';
    for (const text of [
      `a: [${secret}`,
      `${secret}: &x [1]\nb: *x`,
      policy(`rules: [{ action: ${secret} }]`),
    ]) {
      const { message, errors } = problemOf(text);
      expect(JSON.stringify({ message, errors })).not.toContain(secret);
    }
  });

  test('too much of it with PAYLOAD_TOO_LARGE', () => {
    expect(problemOf('#'.repeat(300_000)).code).toBe('PAYLOAD_TOO_LARGE');
  });

  test('tens of thousands of members in time that does not grow with their square', () => {
    const keys = Array.from({ length: 30_000 }, (_, index) => `k${index}`).join(',');
    const started = process.cpuUsage();
    expect(problemOf(`{${keys}}`).errors).toMatchObject([{ path: '/0/apiVersion' }, {}, {}, {}]);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(2.5);
  });

  test('at most 20 faults are named', () => {
    const rules = Array.from({ length: 40 }, () => '{ action: Deny }').join(', ');
    expect(faultsOf(`rules: [${rules}]`)).toHaveLength(20);
  });
});

describe('The limit of a last scan', () => {
  const now = Date.parse('2024-03-31T12:00:00Z');

  test.each([
    [{ days: 3 }, '2024-03-28T12:00:00Z'],
    [{ months: 2 }, '2024-01-31T12:00:00Z'],
    [{ years: 1, months: 1, days: 1 }, '2023-03-02T12:00:00Z'],
    [{ months: 1 }, '2024-03-02T12:00:00Z'],
    [{}, '2024-03-31T12:00:00Z'],
  ])('%j before now', (duration, expected) => {
    expect(limitOf({ operator: 'gt', duration }, now)).toBe(Date.parse(expected));
  });

  test('a moment, with an hour of one digit as the documentation writes it', () => {
    expect(limitOf({ operator: 'gt', time: '2022-01-02T0:00:00Z' }, now)).toBe(
      Date.parse('2022-01-02T00:00:00Z'),
    );
    expect(limitOf({ operator: 'lt', time: '2022-01-02T10:00:00+02:00' }, now)).toBe(
      Date.parse('2022-01-02T08:00:00Z'),
    );
  });
});
