import { type InternalAnswer, plain } from './internal-server.ts';

/**
 * For the load balancer: /live says that the process turns, /ready that it can serve. Readiness means
 * "has started and is not stopping", not "all it depends on answers this second": a failing directory must not make the
 * service replace a task that holds live tunnels.
 */
export const health =
  (ready: () => boolean) =>
  (path: string): InternalAnswer | undefined => {
    if (path === '/live') return plain(200);
    if (path === '/ready') return plain(ready() ? 200 : 503);
    return undefined;
  };
