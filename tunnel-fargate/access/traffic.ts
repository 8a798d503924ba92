/** The bytes of one request's bodies, counted as they go by: for the audit trail, and for the limit of its tenant. */
export class Traffic {
  #received = 0;
  #sent = 0;
  #onMoved: ((bytes: number) => void) | undefined;

  /** From the client. */
  get received(): number {
    return this.#received;
  }

  /** To the client. */
  get sent(): number {
    return this.#sent;
  }

  /** Tells of what has moved so far and of every byte from now on. */
  watch(onMoved: (bytes: number) => void): void {
    this.#onMoved = onMoved;
    if (this.#received + this.#sent > 0) onMoved(this.#received + this.#sent);
  }

  receive(bytes: number): void {
    this.#received += bytes;
    this.#onMoved?.(bytes);
  }

  send(bytes: number): void {
    this.#sent += bytes;
    this.#onMoved?.(bytes);
  }
}
