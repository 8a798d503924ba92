/** Child process that runs one Lambda bundle: forked by function-process.ts, invoked over IPC, gone with its parent. */
import type { InvocationMessage, ResultMessage } from './function-process.ts';

type Handler = (event: unknown, context: unknown) => unknown;

/** Lambda's bound on the answer of a synchronous invocation, as JSON: 6 MiB and a little for what is around it. */
const maxAnswerBytes = 6_291_556;

const [file = '', exported = 'handler'] = process.argv.slice(2);

// The parent was killed: nobody would ever stop this process.
process.on('disconnect', () => process.exit(0));

const loaded = (await import(file)) as Record<string, Handler | undefined>;
const handler = loaded[exported];
if (!handler) throw new Error(`${file} exports no ${exported}.`);

process.on('message', (message: InvocationMessage) => {
  void invoke(message).then((result) => process.send?.(result));
});
process.send?.({ kind: 'ready' } satisfies ResultMessage);

async function invoke({ id, event, context }: InvocationMessage): Promise<ResultMessage> {
  try {
    const { deadline, ...rest } = context;
    const value = await handler?.(event, {
      ...rest,
      getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    });
    if (Buffer.byteLength(JSON.stringify(value ?? null)) > maxAnswerBytes) return tooLarge(id);
    return { kind: 'result', id, value: value ?? null };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return {
      kind: 'error',
      id,
      error: { errorType: name, errorMessage: message, trace: stack?.split('\n') ?? [] },
    };
  }
}

const tooLarge = (id: string): ResultMessage => ({
  kind: 'error',
  id,
  error: {
    errorType: 'Function.ResponseSizeTooLarge',
    errorMessage: `Response payload size exceeded maximum allowed payload size (${maxAnswerBytes} bytes).`,
    trace: [],
  },
});
