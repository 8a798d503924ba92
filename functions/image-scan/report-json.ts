import { Problem } from '../../core/problem/problem.ts';

/** How deep arrays and objects may stand in each other; the formats that we know need fewer than 20. */
export const maxNesting = 100;

/** Parses a report's bytes: strict UTF-8, bounded nesting, JSON; REPORT_MALFORMED otherwise, without quoting the report. */
export function parseReportJson(bytes: Uint8Array): unknown {
  if (nesting(bytes) > maxNesting) {
    throw new Problem('REPORT_MALFORMED', `The report is nested deeper than ${maxNesting} levels.`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Problem('REPORT_MALFORMED', 'The report is not UTF-8 text.');
  }
  if (text.trim() === '') throw new Problem('REPORT_MALFORMED', 'The report is empty.');
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem('REPORT_MALFORMED', 'The report is not JSON.');
  }
}

const [quote, backslash] = [0x22, 0x5c];

/** Deepest nesting of brackets outside of strings, counted before anything is built from them. */
function nesting(bytes: Uint8Array): number {
  let [depth, deepest, inString] = [0, 0, false];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (inString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return deepest;
}
