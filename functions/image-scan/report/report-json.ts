import { Problem } from '../../../core/problem/problem.ts';
import { inlineLimits, type ReportLimits } from './report-limits.ts';

/** How deep arrays and objects may stand in each other; the formats that we know need fewer than 20. */
export const maxNesting = 100;

/**
 * Parses a report's bytes: strict UTF-8, bounded nesting, JSON without duplicate or prototype keys; REPORT_MALFORMED
 * otherwise, without quoting values of the report; PAYLOAD_TOO_LARGE for more arrays and objects, or members of objects,
 * than `limits` has. Linear in time; memory is that of the text and of what it becomes.
 */
export function parseReportJson(bytes: Uint8Array, limits: ReportLimits = inlineLimits): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Problem('REPORT_MALFORMED', 'The report is not UTF-8 text.');
  }
  if (text.trim() === '') throw new Problem('REPORT_MALFORMED', 'The report is empty.');
  assertPlain(text, limits);
  try {
    return JSON.parse(text);
  } catch {
    throw notJson();
  }
}

const notJson = () => new Problem('REPORT_MALFORMED', 'The report is not JSON, or only the beginning of it.');

const [quote, comma, backslash] = [0x22, 0x2c, 0x5c];
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Keys that mean something else to a program than to a reader; no scanner writes them. */
const prototypeKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Refuses, before anything is built from the text, what JSON.parse would take: over-deep nesting, prototype keys, and
 * two members of one name in an object, of which one reader sees the first and another the last (RFC 8259 §4). Names
 * are compared as they read, not as they are escaped. What is no JSON may pass here: JSON.parse refuses it.
 */
function assertPlain(text: string, limits: ReportLimits): void {
  // Of each open container, from the outermost: the names seen; the sets of closed ones are used again.
  const names: Set<string>[] = [];
  const isObject: boolean[] = [];
  let depth = 0;
  let containers = 0;
  let members = 0;
  let nameNext = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = endOfString(text, at + 1);
      if (nameNext) {
        nameNext = false;
        members += 1;
        if (members > limits.members) {
          throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${limits.members} members of objects.`);
        }
        const name = nameIn(text.slice(at + 1, end));
        const seen = names[depth];
        if (prototypeKeys.has(name)) {
          throw new Problem('REPORT_MALFORMED', `The report has a member named ${name}.`);
        }
        if (seen?.has(name))
          throw new Problem('REPORT_MALFORMED', 'The report has two members of one name in an object.');
        seen?.add(name);
      }
      at = end;
    } else if (code === openObject || code === openArray) {
      depth += 1;
      if (depth > maxNesting) {
        throw new Problem('REPORT_MALFORMED', `The report is nested deeper than ${maxNesting} levels.`);
      }
      containers += 1;
      if (containers > limits.containers) {
        throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${limits.containers} arrays and objects.`);
      }
      nameNext = isObject[depth] = code === openObject;
      const seen = (names[depth] ??= new Set());
      if (seen.size > 0) seen.clear();
    } else if (code === closeObject || code === closeArray) {
      depth -= 1;
      nameNext = false;
    } else if (code === comma) nameNext = isObject[depth] === true;
  }
}

/** Position of the quote that ends the string whose first character is at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (before >= start && text.charCodeAt(before) === backslash) before -= 1;
    if ((end - before) % 2 === 1) return end;
  }
  throw notJson();
}

function nameIn(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    throw notJson();
  }
}
