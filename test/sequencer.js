import sequencer from '@jest/test-sequencer';

/**
 * The test of the whole stack first: it takes as long as fifty others. Then what reads the templates, for the same
 * reason. The rest in jest's own order.
 */
export default class WholeStackFirst extends sequencer {
  sort(tests) {
    const longest = ['/stack/stack.test.ts', '/lib/templates.test.ts'];
    const rank = ({ path }) => {
      const at = longest.findIndex((end) => path.endsWith(end));
      return at === -1 ? longest.length : at;
    };
    return [...super.sort(tests)].sort((a, b) => rank(a) - rank(b));
  }
}
