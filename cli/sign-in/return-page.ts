import type { OutgoingHttpHeaders } from 'node:http';

const words = {
  200: ['You are signed in', 'You may close this page and go back to the terminal.'],
  400: ['This sign-in did not work', 'Look at the terminal, and start again there: cattery login'],
  404: ['There is nothing here', 'This is cattery, waiting for a sign-in to come back.'],
} as const;

/** What a browser shows that comes back: a text, without anything of the request in it. */
export function returnPage(status: keyof typeof words): { headers: OutgoingHttpHeaders; body: string } {
  const [title, text] = words[status];
  return {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body: `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body><h1>${title}</h1><p>${text}</p></body>
</html>
`,
  };
}
