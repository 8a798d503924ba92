import { readFile } from 'node:fs/promises';
import { request } from 'node:https';

export type ApiAnswer = { readonly status: number; readonly body: unknown };

/** The API as its own clients use it: HTTPS, verified by the given roots, with a bearer token. */
export type ApiClient = {
  get(path: string): Promise<ApiAnswer>;
  post(path: string, body: unknown): Promise<ApiAnswer>;
};

export async function apiClient(apiUrl: string, caFile: string, token: string): Promise<ApiClient> {
  const ca = await readFile(caFile, 'utf8');
  const send = (method: string, path: string, body?: unknown) =>
    new Promise<ApiAnswer>((resolve, reject) => {
      const outgoing = request(
        `${apiUrl}${path}`,
        {
          method,
          ca,
          timeout: 30_000,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () =>
            resolve({ status: answer.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString()) }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error('The API does not answer.')));
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return { get: (path) => send('GET', path), post: (path, body) => send('POST', path, body) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
