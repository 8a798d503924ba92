import sequencer from '@jest/test-sequencer';

/**
 * The test of the whole stack first: it takes as long as fifty others, and in a fresh clone it is the one that should
 * wait for the CDK library to come from the disk, not every worker at once. The rest in jest's own order.
 */
export default class WholeStackFirst extends sequencer {
  sort(tests) {
    const ordered = super.sort(tests);
    const first = (test) => (test.path.endsWith('/stack/stack.test.ts') ? 0 : 1);
    return [...ordered].sort((a, b) => first(a) - first(b));
  }
}
