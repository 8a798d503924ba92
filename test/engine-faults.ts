import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { isWrite } from './engine-units.ts';

/** What a test may do to the calls of one DynamoDB client. */
export type Faults = {
  /** The process dies right after its nth write (from 1): the write is done, no later call gets out. */
  readonly dieAfterWrite: (nth: number) => void;
  /** Calls (`GetItem`, `PutItem`, …) for which this is true never reach the table: as if the connection were broken. */
  readonly failWhen: (
    matches: (operation: string, input: Readonly<Record<string, unknown>>) => boolean,
  ) => void;
  /** Everything works again; tells how many writes went through since the fault was set. */
  readonly mend: () => number;
};

/** The error that a test's own fault throws: nothing of ours may take it for something else. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault';
}

/** Puts a switch for faults in front of the client's own retries. */
export function injectFaults(client: DynamoDBClient): Faults {
  let [writes, deadline] = [0, Infinity];
  let refuses: Parameters<Faults['failWhen']>[0] = () => false;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const operation = (context.commandName ?? '').replace(/Command$/, '');
      if (writes >= deadline || refuses(operation, args.input as Readonly<Record<string, unknown>>)) {
        throw new InjectedFault(`${operation} did not get out`);
      }
      const result = await next(args);
      if (isWrite(operation)) writes += 1;
      if (writes >= deadline) throw new InjectedFault(`the answer of ${operation} was lost`);
      return result;
    },
    { step: 'initialize', name: 'injectFaults', priority: 'low' },
  );
  return {
    dieAfterWrite: (nth) => {
      [writes, deadline] = [0, nth];
    },
    failWhen: (matches) => {
      writes = 0;
      refuses = matches;
    },
    mend: () => {
      const through = writes;
      [writes, deadline] = [0, Infinity];
      refuses = () => false;
      return through;
    },
  };
}
