import type { BaseMemory } from 'beeai-framework/memory/base';
import { peer } from '../../kernel/peer.js';
import type { Surroundings } from '../offer.js';

/** The part of a BeeAI `RunContext` that code within a run is given. */
export type NativeContext = Surroundings;

/** What classes of BeeAI are needed for. */
interface NativeAgent {
  createSnapshot(): object;
  loadSnapshot(snapshot: object): void;
}
type Made<A extends unknown[], T> = new (...args: A) => T;

/** The classes of BeeAI that things made here are of. */
export interface Bee {
  readonly BaseAgent: Made<[], NativeAgent>;
  readonly Emitter: { readonly root: { child(options: object): unknown } };
  readonly UnconstrainedMemory: Made<[], BaseMemory>;
  readonly UserMessage: Made<[string], { readonly role: string; readonly text: string }>;
  readonly AssistantMessage: Made<[string], never>;
  readonly DynamicTool: Made<[fields: object], never>;
  readonly StringToolOutput: Made<[string], object>;
  readonly JSONToolOutput: Made<[unknown], object>;
}

const modules = [
  'agents/base',
  'emitter/emitter',
  'memory/unconstrainedMemory',
  'backend/message',
  'tools/base',
] as const;

/** @throws RxhiveError INVALID_OPTION when beeai-framework is not installed */
export async function loadBee(): Promise<Bee> {
  const install = '--legacy-peer-deps beeai-framework zod@3';
  const loaded = await Promise.all(
    modules.map((name) => peer<Partial<Bee>>(`beeai-framework/${name}`, 'rxhive/beeai', install)),
  );
  return Object.assign({}, ...loaded) as Bee;
}
