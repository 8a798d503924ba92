import path from 'node:path';

/** Everything outside the process that the command line touches, but for its own files and `fetch`. */
export type Surroundings = {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home directory. */
  readonly home: string;
  /** What was asked for. */
  readonly out: (text: string) => void;
  /** Everything else that is said. */
  readonly err: (text: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Lets this many milliseconds go by. */
  readonly wait: (ms: number) => Promise<unknown>;
  /** On which the browser's return is awaited: the first that is free. */
  readonly loopbackPorts: readonly number[];
  readonly openBrowser: (url: string) => Promise<void>;
  /** Takes further CA certificates (PEM) for every connection from here on. */
  readonly trust: (pem: string) => void;
  /** Lets nothing but a kill -9 end the process before the work is done. */
  readonly uninterrupted: <T>(work: () => Promise<T>) => Promise<T>;
  /** How another program starts this one. */
  readonly self: { readonly command: string; readonly args: readonly string[] };
};

/** Where this user's sign-in is kept: `$CATTERY_CONFIG_DIR`, else `cattery` in `$XDG_CONFIG_HOME` (absolute) or ~/.config. */
export function configDirectory({ env, home }: Pick<Surroundings, 'env' | 'home'>): string {
  if (env.CATTERY_CONFIG_DIR) return path.resolve(env.CATTERY_CONFIG_DIR);
  const xdg = env.XDG_CONFIG_HOME;
  return path.join(xdg && path.isAbsolute(xdg) ? xdg : path.join(home, '.config'), 'cattery');
}
