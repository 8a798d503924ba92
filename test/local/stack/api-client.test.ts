import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apiClient } from '../../../local/stack/api-client.ts';
import { localAuthority } from '../../../local/tls/authority.ts';

describe("the stack's own client of the API", () => {
  let directory: string;
  let server: Server;
  let url: string;
  let caFile: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'api-client-'));
    const authority = await localAuthority(directory);
    caFile = path.join(directory, 'ca.pem');
    await writeFile(caFile, authority.certificate);
    const { certificate: cert, key } = await authority.issue(['127.0.0.1']);
    server = createServer({ cert, key }, (request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  });

  test('sends its token and a JSON body, and gives status and parsed body', async () => {
    answer = (request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      request.on('end', () => {
        response.statusCode = 201;
        response.end(JSON.stringify([request.method, request.url, request.headers.authorization, text]));
      });
    };
    const api = await apiClient(url, caFile, 'cak_token');
    expect(await api.post('/v1/things', { a: 1 })).toEqual({
      status: 201,
      body: ['POST', '/v1/things', 'Bearer cak_token', '{"a":1}'],
    });
    expect(await api.get('/v1/me')).toEqual({ status: 201, body: ['GET', '/v1/me', 'Bearer cak_token', ''] });
  });

  test('a body that is no JSON is given as text', async () => {
    answer = (_request, response) => response.writeHead(502).end('<html>');
    expect(await (await apiClient(url, caFile, 't')).get('/')).toEqual({ status: 502, body: '<html>' });
  });

  test('a server that another authority signed gets no token: the call fails', async () => {
    const seen: unknown[] = [];
    answer = (request, response) => {
      seen.push(request.headers.authorization);
      response.end();
    };
    const other = await localAuthority(await mkdtemp(path.join(directory, 'other-')));
    const otherFile = path.join(directory, 'other.pem');
    await writeFile(otherFile, other.certificate);
    await expect((await apiClient(url, otherFile, 't')).get('/')).rejects.toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    expect(seen).toEqual([]);
  });
});
