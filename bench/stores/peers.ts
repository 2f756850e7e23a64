import { DBOS } from '@dbos-inc/dbos-sdk';
import { Annotation, StateGraph } from '@langchain/langgraph';
import { SqliteSaver } from '@langchain/langgraph-checkpoint-sqlite';
import pg from 'pg';
import type { Server } from './postgres.js';

const atOnce = 100;
let runs = 0;

/** Us per task of LangGraph, with its SQLite saver on `file` or without a saver. Definition is not timed. */
export async function langGraph(shape: string, n: number, file?: string): Promise<number> {
  const State = Annotation.Root({ done: Annotation<number>({ reducer: (a, b) => a + b, default: () => 0 }) });
  const builder = new StateGraph(State) as unknown as {
    addNode(name: string, run: () => Promise<object>): void;
    addEdge(from: string | string[], to: string): void;
    compile(options: object): { invoke(input: object, options: object): Promise<{ done: number }> };
  };
  for (let i = 0; i < n; i++) {
    builder.addNode(`t${i}`, async () => ({ done: 1 }));
    builder.addEdge(i === 0 || shape === 'fan' ? '__start__' : `t${i - 1}`, `t${i}`);
  }
  const graph = builder.compile(file === undefined ? {} : { checkpointer: SqliteSaver.fromConnString(file) });
  const options = {
    recursionLimit: n + 10,
    maxConcurrency: atOnce,
    configurable: { thread_id: `r${runs++}` },
  };
  const begun = performance.now();
  const { done } = await graph.invoke({}, options);
  const us = ((performance.now() - begun) * 1_000) / n;
  if (done !== n) throw new Error(`LangGraph ran ${done} of ${n}`);
  return us;
}

/** DBOS on a server: each task a step of one workflow, `atOnce` of them at a time in a fan. */
export async function startDbos(server: Server): Promise<{
  us(shape: string, n: number): Promise<number>;
  /** Bytes of its tables of workflows and steps. */
  bytes(): Promise<number>;
  stop(): Promise<void>;
}> {
  const pool = new pg.Pool({ connectionString: server.url });
  await pool.query('create database dbos_bench');
  const url = server.url.replace(/\/postgres$/, '/dbos_bench');
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, logLevel: 'error', runAdminServer: false });
  const steps = DBOS.registerWorkflow(
    async (shape: string, n: number) => {
      const step = (i: number): Promise<number> => DBOS.runStep(async () => i, { name: `t${i}` });
      const wave = shape === 'fan' ? atOnce : 1;
      for (let i = 0; i < n; i += wave)
        await Promise.all(Array.from({ length: Math.min(wave, n - i) }, (_, k) => step(i + k)));
    },
    { name: 'steps' },
  );
  await DBOS.launch();
  const tables = new pg.Pool({ connectionString: url });
  return {
    us: async (shape, n) => {
      const begun = performance.now();
      await (await DBOS.startWorkflow(steps)(shape, n)).getResult();
      return ((performance.now() - begun) * 1_000) / n;
    },
    bytes: async () => {
      const sum = `select sum(pg_total_relation_size(c.oid)) as n from pg_class c join pg_namespace s
        on s.oid = c.relnamespace where s.nspname = 'dbos' and c.relname in ('operation_outputs', 'workflow_status')`;
      return Number((await tables.query(sum)).rows[0].n);
    },
    stop: async () => {
      await DBOS.shutdown();
      await tables.end();
      await pool.end();
    },
  };
}
