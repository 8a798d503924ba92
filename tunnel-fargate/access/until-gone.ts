/**
 * Waits for work that is not this request's alone and goes on without it. Rejects as the work does, or as soon as the
 * signal is aborted with its reason: who has left holds no place in the limits of a tenant.
 */
export async function untilGone<Value>(work: Promise<Value>, gone: AbortSignal): Promise<Value> {
  let left: (() => void) | undefined;
  const leaving = new Promise<never>((_resolve, reject) => {
    left = () => reject(gone.reason as Error);
    gone.addEventListener('abort', left, { once: true });
    if (gone.aborted) left();
  });
  try {
    return await Promise.race([work, leaving]);
  } finally {
    if (left) gone.removeEventListener('abort', left);
  }
}
