import { describe, expect, test } from '@jest/globals';
import { Problem, problemBody, problemCodes } from '../../../core/problem/problem.ts';

describe('a problem', () => {
  test('has a stable upper-case code, an error status and a title of its own', () => {
    const titles = new Set<string>();
    for (const [code, [status, title]] of Object.entries(problemCodes)) {
      expect(code).toMatch(/^[A-Z][A-Z_]*[A-Z]$/);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
      titles.add(title);
    }
    expect(titles.size).toBe(Object.keys(problemCodes).length);
  });

  test('is told as RFC 9457 wants it, with our code and the request ID', () => {
    expect(problemBody(new Problem('NOT_FOUND'), 'r-1')).toEqual({
      type: 'urn:cattery:problem:NOT_FOUND',
      title: 'There is no such thing',
      status: 404,
      code: 'NOT_FOUND',
      requestId: 'r-1',
    });
  });

  test('tells its detail and what is wrong where, and never its cause', () => {
    const problem = new Problem('INVALID_REQUEST', 'so', {
      errors: [{ path: '/a', message: 'b' }],
      cause: new Error('secret'),
    });
    const body = problemBody(problem, 'r-1');
    expect(body).toMatchObject({ detail: 'so', errors: [{ path: '/a', message: 'b' }] });
    expect(JSON.stringify(body)).not.toContain('secret');
  });
});
