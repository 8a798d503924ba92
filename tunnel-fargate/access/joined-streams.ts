import type { Duplex } from 'node:stream';
import type { Traffic } from './traffic.ts';

export type JoinTiming = {
  /** How long the two sides may take to end once one of them has, ms. */
  readonly lingerMs: number;
  /** How long the cluster may take nothing of what the client sent, ms: meanwhile a client that went away is not seen. */
  readonly stalledMs: number;
};

const defaultTiming: JoinTiming = { lingerMs: 30_000, stalledMs: 900_000 };

export type JoinedStreams = {
  /** Settles when both sides are closed. */
  readonly done: Promise<void>;
  /** Ends both sides in order. */
  readonly finish: () => void;
};

/**
 * Passes bytes both ways, each side as fast as the other takes them, for as long as both live: silence is no reason to
 * end. The end of one side ends the other (Guardian knows no half-close: guardian.md §2.4 rule 5), and a side that breaks
 * off takes the other with it.
 */
export function join(
  client: Duplex,
  cluster: Duplex,
  traffic: Traffic,
  { lingerMs, stalledMs }: JoinTiming = defaultTiming,
): JoinedStreams {
  let cut: NodeJS.Timeout | undefined;
  let stalled: NodeJS.Timeout | undefined;
  const cutBoth = () => {
    client.destroy();
    cluster.destroy();
  };
  const linger = () => void (cut ??= setTimeout(cutBoth, lingerMs));
  const moved = () => {
    clearTimeout(stalled);
    stalled = undefined;
  };
  const closed = [[client, cluster] as const, [cluster, client] as const].map(
    ([side, other]) =>
      new Promise<void>((resolve) => {
        // What went wrong with a side shows in its 'close'.
        side.on('error', () => undefined);
        side.once('end', linger);
        const gone = () => {
          if (!side.readableEnded) other.destroy();
          else if (!other.writableEnded) other.end();
          linger();
          resolve();
        };
        if (side.destroyed) gone();
        else side.once('close', gone);
      }),
  );
  client.pipe(cluster);
  cluster.pipe(client);
  client.on('data', (bytes: Buffer) => {
    traffic.receive(bytes.length);
    if (cluster.writableNeedDrain) stalled ??= setTimeout(cutBoth, stalledMs);
  });
  cluster.on('drain', moved);
  cluster.on('data', (bytes: Buffer) => traffic.send(bytes.length));
  return {
    done: Promise.all(closed).then(() => {
      clearTimeout(cut);
      moved();
    }),
    finish: () => {
      client.unpipe(cluster);
      cluster.unpipe(client);
      for (const side of [client, cluster]) side.resume().end();
      linger();
    },
  };
}
