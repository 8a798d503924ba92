import { createHash } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';

export type Page = { readonly status: number; readonly headers: OutgoingHttpHeaders; readonly body: string };

const style = `
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem; color: #1d2327; }
  h1 { font-size: 1.4rem; }
  label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
  input, button { margin-top: .4rem; padding: .6rem; border: 1px solid #8a9199; border-radius: .3rem; }
  button { margin-top: 1rem; background: #1f5fa8; border-color: #1f5fa8; color: #fff; cursor: pointer; }
  .wrong { color: #a3261b; }
  .note { margin-top: 2rem; font-size: .85rem; color: #5a6169; }
`;
const styleHash = createHash('sha256').update(style).digest('base64');

type SignIn = {
  /** Path that the form posts to. */
  readonly action: string;
  /** What stands in the field at first: anything, also what somebody typed. */
  readonly address: string;
  /** Origin of the application that the sign-in leads back to. */
  readonly returnOrigin: string;
  /** What was wrong with the last answer. */
  readonly wrong?: string;
};

/** Asks which address signs in: 200, or 422 when the last answer was wrong. */
export function signInPage({ action, address, returnOrigin, wrong }: SignIn): Page {
  return page({
    status: wrong === undefined ? 200 : 422,
    title: 'Sign in to Cattery',
    // Browsers apply form-action to the redirects that follow a form, too: the last one leads to the application.
    formAction: `'self' ${returnOrigin}`,
    content: `
  <form method="post" action="${escapeHtml(action)}">
    <label for="email">E-mail address</label>
    <input id="email" name="email" type="email" value="${escapeHtml(address)}" required autofocus autocomplete="username">
    ${wrong === undefined ? '' : `<p class="wrong" role="alert">${escapeHtml(wrong)}</p>`}
    <button type="submit">Sign in</button>
  </form>
  <p class="note">This laptop's stand-in for a company's identity provider: no password, and it protects nothing.</p>`,
  });
}

/** Says that a sign-in cannot go on. */
export function signInErrorPage(status: number, message: string): Page {
  return page({
    status,
    title: 'The sign-in failed',
    formAction: "'none'",
    content: `
  <p class="wrong">${escapeHtml(message)}</p>
  <p class="note">Start again from the application that led here.</p>`,
  });
}

function page({
  status,
  title,
  formAction,
  content,
}: {
  status: number;
  title: string;
  formAction: string;
  content: string;
}): Page {
  const body = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title}</title>
  <style>${style}</style>
</head>
<body>
  <h1>${title}</h1>${content}
</body>
</html>
`;
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body,
  };
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
