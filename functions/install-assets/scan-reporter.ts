import { readFile } from 'node:fs/promises';
import type { Environment } from './env.ts';
import { type PublishedScript, publishedScript } from './published-script.ts';

/** scan-report.sh with its placeholder; it lies beside the bundle, too (lib/bundle.ts). */
export const readScanReporter = (): Promise<string> =>
  readFile(new URL('scan-report.sh', import.meta.url), 'utf8');

/** scan-report.sh as this deployment serves it. Throws as publishedScript does. */
export const scanReporterOf = (script: string, { API_URL }: Pick<Environment, 'API_URL'>): PublishedScript =>
  publishedScript('scan-report.sh', script, { CATTERY_API_URL: API_URL.replace(/\/+$/, '') });
