import { Problem } from '../../../core/problem/problem.ts';

/**
 * What a result's message says of its finding. SARIF has members for none of this; Trivy and Grype write sentences of a
 * fixed form, which is read with one pass and without patterns that could go back, as anybody may have written them.
 */
export type SarifMessage = {
  readonly vulnerability?: string;
  readonly package: string;
  readonly version: string;
  readonly severity?: string;
  /** Absent: the message does not say. Empty: no version has a fix. */
  readonly fixedIn?: readonly string[];
  readonly location?: string;
  /** Kind of package, as the tool calls it. */
  readonly type?: string;
  /** What was scanned, as the user named it. */
  readonly image?: string;
};

/** Lines `Label: value` before any free text; the labels are the tools'. */
function labelled(text: string, ...labels: readonly string[]): string | undefined {
  for (const line of text.slice(0, 8_192).split('\n', 10)) {
    const label = labels.find((each) => line.startsWith(each));
    if (label !== undefined) return line.slice(label.length);
  }
  return undefined;
}

/** Of Trivy, in a result's message; until 2021 in its rule's help. Undefined: not of that form. */
export function trivyMessage(text: string): SarifMessage | undefined {
  const name = labelled(text, 'Package: ');
  const version = labelled(text, 'Installed Version: ');
  if (name === undefined || version === undefined) return undefined;
  return bounded({
    vulnerability: labelled(text, 'Vulnerability '),
    package: name,
    version,
    severity: labelled(text, 'Severity: '),
    fixedIn: versions(labelled(text, 'Fixed Version:')),
  });
}

/** Of Grype, in a result's message. Undefined: not of that form. */
export function grypeMessage(text: string): SarifMessage | undefined {
  const head = /^A (\w{1,20}) vulnerability in ([\w-]{0,64}) package: /.exec(text);
  if (!head) return oldGrypeMessage(text);
  const [name, afterName] = cut(text.slice(head[0].length), ', version ');
  const [version, where] = cut(afterName ?? '', ' was found ');
  if (where === undefined) return undefined;
  const [image, path] = where.startsWith('in image ')
    ? cut(where.slice('in image '.length), ' at: ')
    : [undefined, where.startsWith('at: ') ? where.slice('at: '.length) : undefined];
  return bounded({
    package: name,
    version,
    severity: head[1],
    location: path,
    type: head[2],
    image,
  });
}

/** Until 2023. */
function oldGrypeMessage(text: string): SarifMessage | undefined {
  if (!text.startsWith('The path ')) return undefined;
  const [path, afterPath] = cut(text.slice('The path '.length), ' reports ');
  const [name, afterName] = cut(afterPath ?? '', ' at version ');
  const [version, rest] = cut(afterName ?? '', '  which ');
  if (rest === undefined) return undefined;
  const type = /vulnerable \(([\w-]{1,64})\) package/.exec(rest.slice(0, 256))?.[1];
  return bounded({ package: name, version, location: path, type });
}

/** Of Grype's rules: the help is about the first of the matches that share a rule, one vulnerability of one package. */
export function grypeHelp(text: string): SarifMessage | undefined {
  const name = labelled(text, 'Package: ');
  const version = labelled(text, 'Version: ');
  if (name === undefined || version === undefined) return undefined;
  return bounded({
    vulnerability: labelled(text, 'Vulnerability '),
    package: name,
    version,
    severity: labelled(text, 'Severity: '),
    fixedIn: versions(labelled(text, 'Fix Version:')),
    type: labelled(text, 'Type: '),
  });
}

/** What is before the first `mark`, and what is after it; the whole, and undefined, where there is none. */
function cut(text: string, mark: string): [string, string | undefined] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + mark.length)];
}

const versions = (text: string | undefined): string[] | undefined =>
  text === undefined
    ? undefined
    : text
        .split(',', 100)
        .map((each) => each.trim())
        .filter((each) => each !== '');

const longest = {
  vulnerability: 128,
  package: 512,
  version: 512,
  severity: 64,
  location: 4_096,
  type: 64,
  image: 1_024,
} as const;

type Given = { readonly [name in keyof SarifMessage]: SarifMessage[name] | undefined };

/** Without what is absent; REPORT_MALFORMED for what is longer than such a thing is in any format. */
function bounded(message: Given & Pick<SarifMessage, 'package' | 'version'>): SarifMessage {
  for (const [name, max] of Object.entries(longest)) {
    const value = message[name as keyof typeof longest];
    if (value !== undefined && value.length > max) {
      throw new Problem('REPORT_MALFORMED', `A message names a ${name} of more than ${max} characters.`);
    }
  }
  const said = Object.entries(message).filter(([, value]) => value !== undefined && value !== '');
  return {
    ...(Object.fromEntries(said) as SarifMessage),
    package: message.package,
    version: message.version,
  };
}
