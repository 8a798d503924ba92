/** Why an operator's request was not carried out. The codes are for programs, the message for people. */
export const operatorErrorCodes = [
  'INVALID_REQUEST',
  'TENANT_NOT_FOUND',
  'MEMBER_NOT_FOUND',
  'EMAIL_INVITED_ELSEWHERE',
] as const;
export type OperatorErrorCode = (typeof operatorErrorCodes)[number];

/** Thrown to Lambda, whose caller sees `errorType` `OperatorError` and `errorMessage` `<CODE>: <detail>`. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly code: OperatorErrorCode;

  constructor(code: OperatorErrorCode, detail: string) {
    super(`${code}: ${detail}`);
    this.code = code;
  }
}
