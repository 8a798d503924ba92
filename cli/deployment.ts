import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { Failure } from './failure.ts';
import { PrivateJson } from './private-file.ts';
import { configDirectory, type Surroundings } from './surroundings.ts';

const remembered = z.object({ apiUrl: z.string(), ca: z.string().optional() });

/** Which deployment a command is for. */
export type Deployment = {
  /** Without a slash at its end. */
  readonly apiUrl: string;
  /** CA certificates beyond those that the system trusts, PEM. */
  readonly ca?: string;
};

/** What the command line says of it. */
export type DeploymentOptions = { readonly apiUrl?: string; readonly caFile?: string };

const fileOf = (surroundings: Surroundings) =>
  new PrivateJson(path.join(configDirectory(surroundings), 'deployment.json'), remembered);

/**
 * The deployment that is meant: by option, by CATTERY_API_URL and CATTERY_CA_FILE, or the one of the last sign-in. Its
 * CA is trusted from here on.
 */
export async function findDeployment(
  surroundings: Surroundings,
  options: DeploymentOptions,
): Promise<Deployment> {
  const { env } = surroundings;
  const known = await fileOf(surroundings).read();
  const given = options.apiUrl ?? (env.CATTERY_API_URL || undefined);
  const apiUrl = given === undefined ? known?.apiUrl : checkedUrl(given, 'the API');
  if (apiUrl === undefined) {
    throw new Failure('usage', 'Which deployment? Give its API with --api-url URL, or CATTERY_API_URL.');
  }
  const caFile = options.caFile ?? (env.CATTERY_CA_FILE || undefined);
  const ca = caFile === undefined ? (known?.apiUrl === apiUrl ? known.ca : undefined) : await readCa(caFile);
  if (ca !== undefined) surroundings.trust(ca);
  return { apiUrl, ...(ca === undefined ? {} : { ca }) };
}

/** What later commands take when nothing else is said. */
export const rememberDeployment = (surroundings: Surroundings, deployment: Deployment): Promise<void> =>
  fileOf(surroundings).write(deployment);

/** A URL over which credentials may go: TLS, or plain HTTP that does not leave this machine. No slash at its end. */
export function checkedUrl(text: string, what: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.search || url.hash || url.username) {
    throw new Failure('usage', `${text} is no URL of ${what}. One looks like https://api.example.com.`);
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url))) {
    throw new Failure('usage', `${text} is not over TLS: ${what} must begin with https://.`);
  }
  return url.href.replace(/\/+$/, '');
}

export const isLoopback = ({ hostname }: URL): boolean =>
  /^(?:127(?:\.\d+){3}|localhost|\[::1\])$/.test(hostname);

async function readCa(file: string): Promise<string> {
  try {
    const pem = await readFile(file, 'utf8');
    // Throws where there is no certificate in it.
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new Failure('usage', `${file} holds no CA certificates in PEM form.`, error);
  }
}
