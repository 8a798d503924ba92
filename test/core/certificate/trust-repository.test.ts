import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TrustRepository } from '../../../core/certificate/trust-repository.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

test('trust is absent until it is written, then whole, and costs what is documented', async () => {
  const repository = new TrustRepository(engine.dynamo, engine.tables.directory);
  expect(await repository.read()).toBeUndefined();
  const trust = { trustBundle: 'b'.repeat(3_000), roots: 'r'.repeat(1_500), hintName: 'h', clusterCa: 'c' };
  expect(await engine.units(() => repository.write(trust))).toEqual({ read: 0, write: 5 });
  const units = await engine.units(async () => {
    expect(await repository.read()).toEqual(trust);
  });
  if (unitsAreExact) expect(units).toEqual({ read: 1, write: 0 });
});
