type Asynchronous = (...parameters: never[]) => Promise<unknown>;

/**
 * The same methods, each failure of which is told before it goes on to the caller: so that neither a repository nor
 * those who use it need to know that somebody counts.
 */
export function countFailures<Name extends string, Target extends Record<Name, Asynchronous>>(
  target: Target,
  methods: readonly Name[],
  onFailure: (method: Name) => void,
): Pick<Target, Name> {
  const watched = methods.map((name) => [
    name,
    async (...parameters: never[]) => {
      try {
        return await target[name](...parameters);
      } catch (error) {
        onFailure(name);
        throw error;
      }
    },
  ]);
  return Object.fromEntries(watched) as Pick<Target, Name>;
}
