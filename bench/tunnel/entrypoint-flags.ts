import * as z from 'zod';

const command = z.tuple([z.literal('node')], z.string());

/** Node's own flags in a Dockerfile's ENTRYPOINT. Throws when it is not `["node", …]`. */
export function entrypointFlags(dockerfile: string): string[] {
  const text = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1];
  if (text === undefined) throw new Error('the Dockerfile has no ENTRYPOINT in the form of a list');
  const [, ...given] = command.parse(JSON.parse(text));
  return given.filter((argument) => argument.startsWith('--'));
}
