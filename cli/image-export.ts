import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { ApiClient } from './api-client.ts';
import { Failure, printable } from './failure.ts';

export type ExportFormat = 'csv' | 'json' | 'cyclonedx-vex';

/** What is read of a VEX document here: the image that it is about. */
const vexDocument = z.looseObject({
  metadata: z.looseObject({ component: z.looseObject({ version: z.string() }).optional() }),
});

/**
 * Everything that is asked for, page after page: CSV with one header, JSON as one array, VEX as one document a line for
 * each image (of one with very many findings several).
 */
export async function* exported(
  api: ApiClient,
  filter: Readonly<Record<string, string>>,
  format: ExportFormat,
): AsyncGenerator<string> {
  const pages = exportPages(api, { ...filter, format });
  if (format === 'csv') yield* pages;
  else if (format === 'json') yield* oneArray(pages);
  else for await (const { text } of documents(pages)) yield `${text}\n`;
}

/** One file of the whole, or nothing. */
export async function exportToFile(texts: AsyncIterable<string>, file: string): Promise<void> {
  const unfinished = `${file}.part`;
  try {
    const handle = await open(unfinished, 'w', 0o600);
    try {
      for await (const text of texts) await handle.appendFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw writeFailure(file, error);
  }
}

/** A file for each VEX document, by the image's digest, in a directory that is made if need be. Says how many. */
export async function exportVexFiles(
  api: ApiClient,
  filter: Readonly<Record<string, string>>,
  directory: string,
): Promise<number> {
  const parts = new Map<string, number>();
  let files = 0;
  for await (const { digest, text } of documents(exportPages(api, { ...filter, format: 'cyclonedx-vex' }))) {
    const part = (parts.get(digest) ?? 0) + 1;
    // Documents about one image come one after the other.
    if (part === 1) parts.clear();
    parts.set(digest, part);
    const name = `${digest.replace(':', '-')}${part === 1 ? '' : `-${part}`}.vex.json`;
    await mkdir(directory, { recursive: true }).catch((error: unknown) => {
      throw writeFailure(directory, error);
    });
    await exportToFile(once(`${text}\n`), path.join(directory, name));
    files += 1;
  }
  return files;
}

async function* exportPages(api: ApiClient, query: Readonly<Record<string, string>>): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const asked = new URLSearchParams({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    const page = await api.page(`/v1/images/export?${asked.toString()}`);
    yield page.text;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

async function* oneArray(pages: AsyncIterable<string>): AsyncGenerator<string> {
  let between = '[';
  for await (const page of pages) {
    for (const row of parsed(z.array(z.unknown()), page)) {
      yield `${between}\n${JSON.stringify(row)}`;
      between = ',';
    }
  }
  yield between === '[' ? '[]\n' : '\n]\n';
}

/** Those that are about an image; a page may have none. */
async function* documents(pages: AsyncIterable<string>): AsyncGenerator<{ digest: string; text: string }> {
  for await (const page of pages) {
    const document = parsed(vexDocument, page);
    const digest = document.metadata.component?.version;
    if (digest === undefined) continue;
    // It names a file.
    if (!/^sha256:[0-9a-f]{64}$/.test(digest))
      throw new Failure('failed', 'A document names no image by its digest.');
    yield { digest, text: JSON.stringify(document) };
  }
}

function parsed<Schema extends z.ZodType>(schema: Schema, text: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure('failed', 'What the API answers is no export, or of another version.', error);
  }
}

async function* once(text: string): AsyncGenerator<string> {
  await Promise.resolve();
  yield text;
}

function writeFailure(file: string, error: unknown): unknown {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (error instanceof Failure || syscall === undefined) return error;
  return new Failure('failed', printable(`${file} cannot be written (${code ?? 'unknown'}).`), error);
}
