/** A browser as far as a sign-in needs one: it keeps cookies by host and path, and shows each redirect. */
export type Browser = {
  get(url: string): Promise<Response>;
  post(url: string, fields: Readonly<Record<string, string>>): Promise<Response>;
  /** Every `Set-Cookie` so far. */
  readonly received: readonly string[];
};

type Cookie = { readonly name: string; readonly value: string; readonly path: string };

export function browser(): Browser {
  const received: string[] = [];
  let cookies: readonly Cookie[] = [];

  const send = async (url: string, init: RequestInit): Promise<Response> => {
    const { pathname } = new URL(url);
    const sent = cookies.filter(
      ({ path }) => pathname === path || pathname.startsWith(path.replace(/\/?$/, '/')),
    );
    const headers = new Headers(init.headers);
    headers.set('accept', 'text/html');
    if (sent.length > 0) headers.set('cookie', sent.map(({ name, value }) => `${name}=${value}`).join('; '));
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      received.push(line);
      const cookie = parse(line);
      cookies = cookies.filter(({ name, path }) => name !== cookie.name || path !== cookie.path);
      if (!/expires=Thu, 01 Jan 1970/i.test(line)) cookies = [...cookies, cookie];
    }
    return answer;
  };

  return {
    received,
    get: (url) => send(url, {}),
    post: (url, fields) => send(url, { method: 'POST', body: new URLSearchParams(fields) }),
  };
}

function parse(line: string): Cookie {
  const [pair = '', ...attributes] = line.split(/;\s*/);
  const cut = pair.indexOf('=');
  const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice('path='.length) ?? '/';
  return { name: pair.slice(0, cut), value: pair.slice(cut + 1), path };
}
