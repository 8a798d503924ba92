import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { identityOf } from '../../../core/image/image-identity.ts';
import { type Verdict, verdicts } from '../../../core/image/image-schema.ts';
import { findingJudge, judgeImage } from '../../../core/image/judge.ts';
import {
  anyException,
  anyFinding,
  anyImage,
  anyPolicy,
  anyStatement,
  day,
  now,
  resultOf,
  rulesOf,
} from './judged-images.ts';

const harshness = (verdict: Verdict) => verdicts.indexOf(verdict);
const anyRules = fc
  .record({
    policy: anyPolicy,
    exceptions: fc.array(anyException, { maxLength: 6 }),
    statements: fc.array(anyStatement, { maxLength: 4 }),
  })
  .map(({ policy, ...rest }) => ({ policy, rest, rules: rulesOf(policy, rest) }));
const check = <T>(property: fc.IProperty<T>) => fc.assert(property, { seed: 6, numRuns: 400 });

describe('a judgement', () => {
  test('never gets better with time, and says when it gets worse', () => {
    check(
      fc.property(anyImage, anyRules, fc.integer({ min: 0, max: 5000 }), (image, { rules }, days) => {
        const { verdict, worsens } = judgeImage(image, rules, now);
        const told = (time: number) => worsens.filter(({ at }) => at <= time).at(-1)?.verdict ?? verdict;
        const times = [now + days * day, ...worsens.flatMap(({ at }) => [at - 1, at, at + 1])];
        for (const time of times.filter((each) => each >= now)) {
          expect(judgeImage(image, rules, time).verdict).toBe(told(time));
        }
        const steps = [{ at: now, verdict }, ...worsens];
        for (const [index, step] of steps.entries()) {
          const before = steps[index - 1];
          if (!before) continue;
          expect(step.at).toBeGreaterThan(before.at);
          expect(harshness(step.verdict)).toBeGreaterThan(harshness(before.verdict));
        }
      }),
    );
  });

  test('is never worse for an exception more', () => {
    check(
      fc.property(
        anyImage,
        anyRules,
        anyException,
        fc.integer({ min: 0, max: 90 }),
        (image, given, more, days) => {
          const time = now + days * day;
          const with_ = rulesOf(given.policy, {
            ...given.rest,
            exceptions: [...given.rest.exceptions, more],
          });
          const [before, after] = [given.rules, with_].map((rules) => judgeImage(image, rules, time));
          expect(harshness(after?.verdict ?? 'fail')).toBeLessThanOrEqual(
            harshness(before?.verdict ?? 'pass'),
          );
        },
      ),
    );
  });

  test('is never better for a finding more, or for a scanner more that scanned no later', () => {
    check(
      fc.property(anyImage, anyRules, anyFinding, (image, { rules }, more) => {
        const before = judgeImage(image, rules, now).verdict;
        const [first, ...others] = image.results;
        if (!first) return;
        const added = resultOf({
          references: first.aliases.references,
          scannerName: first.scannerName,
          scannedAt: first.scannedAt,
          findings: [...first.evidence().findings, more],
        });
        const scanner = resultOf({ scannerName: 'other', scannedAt: first.scannedAt, findings: [more] });
        for (const results of [
          [added, ...others],
          [...image.results, scanner],
        ]) {
          const after = judgeImage({ ...image, results }, rules, now).verdict;
          expect(harshness(after)).toBeGreaterThanOrEqual(harshness(before));
        }
      }),
    );
  });

  test('is never better for being known in another repository too, unless an exception is for that', () => {
    const repositories = ['docker.io/a/b', 'registry.example/shop/b:1', 'registry.example/x/b'];
    check(
      fc.property(anyImage, anyPolicy, fc.constantFrom(...repositories), (image, policy, reference) => {
        const rules = rulesOf(policy);
        fc.pre(identityOf(image).repositories.size > 0);
        const results = image.results.map((each) => ({
          ...each,
          aliases: { ...each.aliases, references: [...each.aliases.references, reference] },
        }));
        const [before, after] = [image, { ...image, results }].map((each) => judgeImage(each, rules, now));
        expect(harshness(after?.verdict ?? 'pass')).toBeGreaterThanOrEqual(
          harshness(before?.verdict ?? 'fail'),
        );
      }),
    );
  });

  test('is that of the worst of its findings alone, but for the age of the scan', () => {
    check(
      fc.property(anyImage, anyRules, (image, { policy, rest }) => {
        const overrides = policy.overrides.map((each) => ({ ...each, stale: 'pass' }));
        const rules = rulesOf({ ...policy, stale: 'pass', overrides }, rest);
        const alone = image.results.flatMap((outcome) => {
          const judge = findingJudge(image, outcome, rules, now);
          return outcome.evidence().findings.map((each) => ({ outcome, ...judge(each) }));
        });
        const judged = judgeImage(image, rules, now);
        expect(harshness(judged.verdict)).toBe(
          Math.max(0, ...alone.map(({ verdict }) => harshness(verdict))),
        );
        const deciding = alone.filter(({ outcome }) => outcome.scannerName === judged.deciding);
        expect(judged.suppressed.total).toBe(deciding.filter((each) => each.suppressed).length);
        for (const each of alone) {
          expect(each.rules.length > 0).toBe(each.verdict !== 'pass');
          if (each.suppressed) expect(each.verdict).toBe('pass');
        }
        expect(judged.reasons.length > 0).toBe(judged.verdict !== 'pass');
      }),
    );
  });

  test('does not depend on the order of results, exceptions and statements of different times', () => {
    check(
      fc.property(anyImage, anyRules, (image, { policy, rest }) => {
        const statements = rest.statements.map((each, index) => ({ ...each, at: now - index }));
        const other = rulesOf(policy, {
          exceptions: [...rest.exceptions].reverse(),
          statements: [...statements].reverse(),
        });
        const turned = { ...image, results: [...image.results].reverse() };
        expect(judgeImage(turned, other, now)).toEqual(
          judgeImage(image, rulesOf(policy, { exceptions: rest.exceptions, statements }), now),
        );
      }),
    );
  });
});
