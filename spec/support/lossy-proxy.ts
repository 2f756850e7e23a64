import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy on loopback that can lose what the server answers, and with it the connection. */
export class LossyProxy {
  /** Loses the next answer that comes after a request. */
  losing = false;
  lost = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(port: number, host: string) {
    this.#server = createServer((client) => {
      const server = connect(port, host);
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.on('data', (data) => server.write(data));
      server.on('data', (data) => {
        if (!this.losing) {
          client.write(data);
          return;
        }
        this.losing = false;
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

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
