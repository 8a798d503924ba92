/** What a terminal does with a key: to the command, back to the screen, or to the line that is being written. */
export type Typed = { readonly line?: string; readonly echo: string; readonly end?: true };

const enter = /[\r\n]/;

/**
 * A line discipline, as far as a shell of the demo needs one: echo, backspace, Ctrl-C drops the line, Ctrl-D on an
 * empty one ends the input.
 */
export class PodTerminal {
  #line = '';

  /** What follows from some typed text, in order. */
  *type(text: string): Generator<Typed> {
    for (const key of text) {
      if (enter.test(key)) {
        const line = `${this.#line}\n`;
        this.#line = '';
        yield { line, echo: '\r\n' };
      } else if (key === '\x7f' || key === '\b') {
        if (this.#line !== '') yield { echo: '\b \b' };
        this.#line = Array.from(this.#line).slice(0, -1).join('');
      } else if (key === '\x03') {
        this.#line = '';
        yield { line: '\n', echo: '^C\r\n' };
      } else if (key === '\x04') {
        if (this.#line === '') yield { echo: '', end: true };
      } else if (key >= ' ') {
        this.#line += key;
        yield { echo: key };
      }
    }
  }
}

/** A terminal in raw mode wants the carriage return, too. */
export const forTerminal = (bytes: Buffer | string): Buffer =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
