import * as z from 'zod';

/**
 * What an installer does to a cluster, and the steps of each in their order. Whoever reports the last one as `done` or
 * `skipped` has succeeded.
 */
export const progressSteps = {
  install: ['preflight', 'key', 'registration', 'crds', 'operator', 'calico', 'connection', 'tunnel'],
  upgrade: ['preflight', 'crds', 'operator', 'calico', 'tunnel'],
  renew: ['preflight', 'key', 'certificate', 'secret', 'tunnel', 'retire'],
  uninstall: ['connection', 'registration', 'state'],
} as const;
export type ProgressOperation = keyof typeof progressSteps;
export const progressOperations = Object.keys(progressSteps) as ProgressOperation[];

/** What is free text; secrets in it are removed before it is stored (functions/registration/masked-text.ts). */
const text = z.string().max(512);
/** Printable ASCII: versions are shown in terminals. */
const version = z.string().regex(/^[\x20-\x7e]{1,128}$/);
const time = z.iso.datetime();

export const componentStatus = z
  .object({
    name: z.string().regex(/^[a-z0-9.-]{1,63}$/),
    available: z.boolean(),
    progressing: z.boolean(),
    degraded: z.boolean(),
    message: text.optional(),
  })
  .meta({ id: 'ComponentStatus', description: 'a TigeraStatus: its three conditions' });
export type ComponentStatus = z.infer<typeof componentStatus>;

export const installedVersions = z
  .object({
    kubernetes: version.optional(),
    calico: version.optional(),
    operator: version.optional(),
    installer: version.optional(),
  })
  .meta({ id: 'InstalledVersions' });
export type InstalledVersions = z.infer<typeof installedVersions>;

const reportOf = <O extends ProgressOperation>(operation: O) =>
  z.strictObject({
    operation: z.literal(operation),
    attempt: z
      .string()
      .regex(/^[a-z0-9-]{8,40}$/)
      .meta({ description: 'names one run of the installer' }),
    sequence: z.int().min(0).meta({ description: 'counts the reports of an attempt, from 0' }),
    step: z.enum(progressSteps[operation]),
    state: z.enum(['running', 'done', 'skipped', 'failed']),
    message: text.optional(),
    reason: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{1,63}$/)
      .optional()
      .meta({ description: 'why, for programs' }),
    hint: text.optional().meta({ description: 'what to do about it' }),
    versions: installedVersions.strict().optional(),
    tigerastatus: z.array(componentStatus.strict()).max(32).optional(),
  });

/** One report of an installer. The same attempt and sequence again changes nothing. */
export const progressReport = z
  .discriminatedUnion('operation', [
    reportOf('install'),
    reportOf('upgrade'),
    reportOf('renew'),
    reportOf('uninstall'),
  ])
  .meta({ id: 'ProgressReport' });
export type ProgressReport = z.infer<typeof progressReport>;

/** Of an attempt; docs/progress.md draws them. `superseded` is never the current attempt's. */
export const attemptStates = [
  'none',
  'running',
  'unresponsive',
  'failed',
  'superseded',
  'succeeded',
] as const;
export type AttemptState = (typeof attemptStates)[number];

export const progressTaken = z
  .object({
    attempt: z.string(),
    sequence: z.int(),
    current: z.boolean().meta({ description: 'whether this is the attempt that began last' }),
    state: z.enum(attemptStates).meta({ description: 'of the attempt' }),
  })
  .meta({ id: 'ProgressTaken' });
export type ProgressTaken = z.infer<typeof progressTaken>;

const why = { message: z.string().optional(), reason: z.string().optional(), hint: z.string().optional() };

export const stepProgress = z
  .object({
    step: z.string(),
    state: z.enum(['pending', 'running', 'done', 'skipped', 'failed', 'unknown']).meta({
      description: 'unknown: a later step was reported since, and how this one ended was not',
    }),
    startedAt: time.optional().meta({ description: 'when its first report came' }),
    endedAt: time.optional(),
    ...why,
    lastFailure: z
      .object({ at: time, ...why })
      .optional()
      .meta({ description: 'of a step that has failed and was tried again since' }),
  })
  .meta({ id: 'StepProgress' });
export type StepProgress = z.infer<typeof stepProgress>;

const attempt = z.object({
  state: z.enum(attemptStates),
  operation: z.enum(progressOperations).optional(),
  attempt: z.string().optional(),
  startedAt: time.optional(),
  lastReportAt: time.optional(),
  unresponsiveSince: time
    .optional()
    .meta({ description: 'when a report was due that never came: 5 minutes after the last' }),
  steps: z.array(stepProgress).meta({ description: 'in their order, those to come too' }),
  versions: installedVersions,
});
export const attemptProgress = attempt.meta({ id: 'AttemptProgress' });
export type AttemptProgress = z.infer<typeof attemptProgress>;

/** The attempt that began last, and those before it. `state` is `none` before the first report. */
export const progress = attempt
  .extend({
    tigerastatus: z.array(componentStatus).meta({ description: 'as last reported' }),
    cursor: z.string().meta({ description: '?follow= with it waits for something newer' }),
    attempts: z.array(attemptProgress).meta({ description: 'older ones, newest first, at most 20' }),
  })
  .meta({ id: 'Progress' });
export type Progress = z.infer<typeof progress>;
