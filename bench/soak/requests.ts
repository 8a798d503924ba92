import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';

type Options = {
  readonly session: ClientHttp2Session;
  readonly token: string;
  readonly clusterIds: () => readonly string[];
  readonly forgiving: boolean;
};

/** A request every so often, into any cluster. One that meets a cluster which is on its way back waits for it, as kubectl would. */
export class Requests {
  /** Of those that were answered, ms. */
  readonly times: number[] = [];
  failed = 0;
  readonly #session: ClientHttp2Session;
  readonly #token: string;
  readonly #clusterIds: () => readonly string[];
  /** Links are cut: 502 and 503 may meet one at that moment. */
  readonly #forgiving: boolean;
  #timer: ReturnType<typeof setInterval> | undefined;
  #stopped = false;

  constructor({ session, token, clusterIds, forgiving }: Options) {
    this.#session = session;
    this.#token = token;
    this.#clusterIds = clusterIds;
    this.#forgiving = forgiving;
  }

  start(perSecond: number): void {
    if (perSecond > 0) this.#timer = setInterval(() => void this.#one(), 1_000 / perSecond);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  async #one(): Promise<void> {
    const ids = this.#clusterIds();
    const clusterId = ids[Math.floor(Math.random() * ids.length)] ?? '';
    const begun = performance.now();
    try {
      const stream = this.#session.request({
        ':path': `/clusters/${clusterId}/api/v1/pods`,
        authorization: `Bearer ${this.#token}`,
      });
      const [headers] = (await once(stream, 'response')) as [Readonly<Record<string, unknown>>];
      stream.resume();
      await once(stream, 'close');
      if (this.#stopped) return;
      if (headers[':status'] === 200) this.times.push(performance.now() - begun);
      else if (!this.#forgiving || ![502, 503].includes(Number(headers[':status']))) this.failed += 1;
    } catch {
      if (!this.#stopped) this.failed += 1;
    }
  }
}
