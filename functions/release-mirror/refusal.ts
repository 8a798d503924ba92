/** Why a manifest was not taken. */
export const refusalCodes = [
  /** The source has no such file. */
  'MISSING',
  /** No answer, or none in time. */
  'UNREACHABLE',
  /** An answer other than 200. */
  'STATUS',
  /** Led to another host than GitHub's, away from HTTPS, or in circles. */
  'REDIRECTED',
  /** More bytes than the catalogue says; no more than one of them was read. */
  'TOO_LARGE',
  /** Fewer bytes than the catalogue says. */
  'TRUNCATED',
  /** As many bytes as the catalogue says, and others. */
  'CHANGED',
  /** The file is right, and our storage did not take it or did not say what it has. */
  'STORAGE',
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

/** Thrown for one manifest; the others are not concerned. */
export class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Refusal';
    this.code = code;
  }
}
