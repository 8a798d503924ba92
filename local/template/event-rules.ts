import type { Assembly } from './assembly.ts';
import { follow } from './compute.ts';
import type { Resolver } from './intrinsics.ts';
import { physicalNames } from './physical-names.ts';

/** What a field of an event may be: one of these. */
export type Match = string | { readonly prefix: string };
export type Pattern = { readonly [field: string]: Pattern | readonly Match[] };

/** A rule of EventBridge that waits for events, and the function behind it. */
export type EventRule = {
  readonly pattern: Pattern;
  readonly functionName: string;
  /** How often Lambda gives an event to the function again when it fails. */
  readonly retries: number;
};

/** Lambda's own, where a template says nothing. */
const defaultRetries = 2;

/** The rules of the templates with a pattern; throws on a pattern that the laptop stack would not know how to match. */
export function eventRulesOf(assembly: Assembly, { resolve }: Resolver): EventRule[] {
  return assembly.resources
    .filter(({ type, properties }) => type === 'AWS::Events::Rule' && properties.EventPattern !== undefined)
    .flatMap(({ stack, properties }) => {
      const pattern = resolve(stack, properties.EventPattern) as Pattern;
      assertKnown(pattern);
      return ((properties.Targets ?? []) as { Arn: unknown }[]).flatMap(({ Arn }) => {
        const target = follow(assembly, stack, Arn);
        if (target?.type !== 'AWS::Lambda::Function') return [];
        const config = assembly.resources.find(
          ({ type, stack: where, properties: { FunctionName } }) =>
            type === 'AWS::Lambda::EventInvokeConfig' &&
            where === stack &&
            follow(assembly, stack, FunctionName) === target,
        );
        const retries = Number(config?.properties.MaximumRetryAttempts ?? defaultRetries);
        return [{ pattern, functionName: physicalNames.ref(target), retries }];
      });
    });
}

function assertKnown(pattern: Pattern): void {
  for (const [field, wanted] of Object.entries(pattern)) {
    if (!Array.isArray(wanted)) assertKnown(wanted as Pattern);
    else if (!(wanted as readonly unknown[]).every(isKnown))
      throw new Error(
        `The laptop stack matches events by text and prefix only, not by ${JSON.stringify(wanted)} in ${field}.`,
      );
  }
}

const isKnown = (match: unknown): boolean =>
  typeof match === 'string' ||
  (typeof match === 'object' &&
    match !== null &&
    Object.keys(match).join() === 'prefix' &&
    typeof (match as { prefix: unknown }).prefix === 'string');
