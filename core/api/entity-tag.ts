const listed = (header: string): readonly string[] => header.split(',').map((tag) => tag.trim());
const weak = (tag: string): string => tag.replace(/^W\//, '');

/** Whether If-Match lets a change of what bears this tag be made: a list, or `*`, compared strongly (RFC 9110 §13.1.1). */
export const ifMatches = (ifMatch: string, tag: string): boolean =>
  listed(ifMatch).some((each) => each === '*' || each === tag);

/** Whether the client has what bears this tag: a list, or `*`, compared weakly (RFC 9110 §13.1.2); false without the header. */
export const ifNoneMatches = (ifNoneMatch: string | undefined, tag: string): boolean =>
  listed(ifNoneMatch ?? '').some((each) => each === '*' || weak(each) === weak(tag));
