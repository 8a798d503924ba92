import type { Rounds } from './results.ts';
import type { Rig } from './rig.ts';
import type { Setting } from './setting.ts';
import type { Entry, Measurement, Work } from './works.ts';

type Options = { readonly runs: number; /** A round before, which does not count. */ readonly warm: boolean };

/** Measures each contestant once in each round, so that what disturbs the machine meets all. `absent`: who could not, in words. */
export async function measureRounds(
  work: Work,
  near: Setting,
  { runs, warm }: Options,
): Promise<{ measured: readonly Rounds[]; absent: readonly string[] }> {
  const setting: Setting = { ...near, roundTripMs: work.roundTripMs ?? 0 };
  const absent: string[] = [];
  const entries: (Entry & { rig: Rig | undefined; rounds: (readonly Measurement[])[] })[] = [];
  try {
    for (const { contestant, to } of work.entries) {
      const reason = contestant.absent(setting);
      if (reason !== undefined) absent.push(reason);
      else {
        const rig = 'measure' in work ? await contestant.start(setting) : undefined;
        entries.push({ contestant, to, rig, rounds: [] });
      }
    }
    // What is measured anew each time gets warm by nothing that came before.
    const first = warm && 'measure' in work ? -1 : 0;
    for (let round = first; round < runs; round += 1) {
      for (const { contestant, rig, rounds } of entries) {
        const measurements =
          'measure' in work && rig
            ? await work.measure(rig, contestant)
            : 'measureAnew' in work
              ? await work.measureAnew(contestant, setting)
              : [];
        if (round >= 0) rounds.push(measurements);
      }
    }
  } finally {
    for (const { rig } of entries) await rig?.close();
  }
  const measured = entries.map(({ contestant, to, rounds }) => ({
    peer: contestant.name,
    to: to.name,
    rounds,
  }));
  return { measured, absent };
}
