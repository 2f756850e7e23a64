import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy on loopback that can lose what the server answers, and with it the connection; or be away, or say nothing. */
export class LossyProxy {
  /** Loses the next answer that comes after a request. */
  losing = false;
  /** Answers that still come before one is lost. */
  losesAfter = Number.POSITIVE_INFINITY;
  lost = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isAway = false;
  #isSilent = false;

  constructor(port: number, host: string) {
    this.#server = createServer((client) => {
      if (this.#isAway) {
        client.destroy();
        return;
      }
      const server = connect(port, host);
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        if (this.#isSilent) socket.pause();
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.on('data', (data) => server.write(data));
      server.on('data', (data) => {
        this.losesAfter -= 1;
        if (!this.losing && this.losesAfter >= 0) {
          client.write(data);
          return;
        }
        this.losing = false;
        this.losesAfter = Number.POSITIVE_INFINITY;
        this.lost += 1;
        client.destroy();
      });
    });
  }

  listen(): Promise<number> {
    return new Promise((done) => {
      this.#server.listen(0, '127.0.0.1', () => done((this.#server.address() as { port: number }).port));
    });
  }

  /** While it is away all connections are cut, and new ones too. */
  set away(is: boolean) {
    this.#isAway = is;
    if (is) for (const socket of this.#sockets) socket.destroy();
  }

  /** While it is silent nothing gets through, and nobody is told. */
  set silent(is: boolean) {
    this.#isSilent = is;
    for (const socket of this.#sockets)
      if (is) socket.pause();
      else socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
