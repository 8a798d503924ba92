import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';

/** Leads connections to one of several ports in turn, and to the next where nobody answers: what a Service does. */
export class Relay {
  readonly #server: Server;
  readonly #ports: number[] = [];
  readonly #sockets = new Set<Socket>();
  #turn = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      this.#lead(socket, this.#ports.length);
    });
  }

  static async start(): Promise<Relay> {
    const relay = new Relay();
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  add(port: number): void {
    this.#ports.push(port);
  }

  /** New connections go elsewhere; those that are there go on. */
  remove(port: number): void {
    const at = this.#ports.indexOf(port);
    if (at !== -1) this.#ports.splice(at, 1);
  }

  #lead(socket: Socket, tries: number): void {
    const port = this.#ports[this.#turn++ % this.#ports.length];
    if (port === undefined || tries <= 0) {
      socket.destroy();
      return;
    }
    const onward = connectTcp(port, '127.0.0.1');
    onward.once('connect', () => {
      onward.removeAllListeners('error');
      onward.on('error', () => socket.destroy());
      socket.on('close', () => onward.destroy());
      onward.on('close', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    });
    onward.once('error', () => this.#lead(socket, tries - 1));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
