import { Problem } from '../../core/problem/problem.ts';
import type { Exchange } from './exchange.ts';

/**
 * The whole body of a request that we answer ourselves. Rejects with Problem PAYLOAD_TOO_LARGE beyond `maxBytes`,
 * INVALID_REQUEST when it is not here after `timeoutMs`, or with the reason of `gone`. The stream stays whole in each
 * case: the answer goes out on it.
 */
export function wholeBody(
  exchange: Exchange,
  { maxBytes, timeoutMs }: { maxBytes: number; timeoutMs: number },
): Promise<Buffer> {
  const { body, gone, traffic } = exchange;
  if (exchange.expectsContinue) exchange.inform(100, {});
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      traffic.receive(chunk.length);
      if (size > maxBytes) {
        settle();
        reject(new Problem('PAYLOAD_TOO_LARGE', `The body is larger than ${maxBytes} bytes.`));
      }
    };
    const ended = () => {
      settle();
      resolve(Buffer.concat(chunks));
    };
    const left = () => {
      settle();
      reject(gone.reason as Error);
    };
    const timer = setTimeout(() => {
      settle();
      reject(new Problem('INVALID_REQUEST', `The body did not come within ${timeoutMs / 1000} s.`));
    }, timeoutMs);
    function settle(): void {
      clearTimeout(timer);
      gone.removeEventListener('abort', left);
      body.off('data', take).off('end', ended).pause();
    }
    body.on('data', take).once('end', ended);
    gone.addEventListener('abort', left, { once: true });
    if (gone.aborted) left();
  });
}
