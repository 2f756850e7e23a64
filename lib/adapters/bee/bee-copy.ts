import { RxhiveError } from '../../kernel/errors.js';
import type { BeeValidators } from './bee-validators.js';

/** The part of BeeAI's emitter that a copy needs. */
interface Emitter {
  readonly namespace: readonly string[];
  readonly context: object;
  pipe(target: unknown): unknown;
}

interface Memory {
  clone?(): Promise<unknown>;
}

interface Template {
  fork?(): unknown;
}

/** What BeeAI's agents keep: their settings, the memory within. */
interface AgentParts {
  clone?(): Promise<unknown>;
  emitter?: unknown;
  memory?: unknown;
  input?: Record<string, unknown>;
}

/**
 * A copy of a BeeAI agent that shares nothing a run writes to. `clone()` of beeai-framework 0.1 is shallow: a clone has
 * the memory, the emitter and the model of the original.
 * @throws RxhiveError INVALID_OPTION when the agent cannot be copied without sharing its memory
 */
export async function copyBeeAgent<A extends object>(agent: A): Promise<A> {
  const original = agent as AgentParts;
  if (typeof original.clone !== 'function') throw cannot('it has no clone()');
  const { memory } = original as { memory?: Memory };
  const copy = (await original.clone()) as AgentParts;
  if (copy === original) throw cannot('its clone() gives the agent itself');
  if (typeof original.input === 'object') copy.input = { ...original.input };
  if (memory !== undefined && memory !== null) {
    if (typeof memory.clone !== 'function') throw cannot('its memory has no clone()');
    copy.memory = await memory.clone();
    if (original.memory !== memory) {
      original.memory = memory;
      throw cannot('a clone writes to the memory of the original');
    }
    if (copy.memory === memory) throw cannot('a clone keeps the memory of the original');
  }
  copy.emitter = ownEmitter(original.emitter, copy);
  return copy as A;
}

/** The prompts of a RequirementAgent; a ToolCallingAgent has the first two. */
const prompts = ['system', 'task', 'toolError', 'toolNoResult'];
const done = new WeakSet<object>();

/**
 * Sets an agent that is ours apart from what it shares with others: BeeAI streams final answers through the emitter of the
 * model, and writes role and instructions of an agent into the one default prompt of all. Mixed up in parallel runs, both.
 */
export function apart<A extends object>(agent: A, validators: BeeValidators | undefined): A {
  const parts = agent as AgentParts & { templates?: Record<string, unknown> };
  const { input } = parts;
  if (done.has(agent) || !isObject(input)) return agent;
  done.add(agent);
  if (isObject(input.llm) && isEmitter(input.llm.emitter)) {
    const llm = shallow(input.llm);
    llm.emitter = ownEmitter(input.llm.emitter, llm);
    withoutCache(llm);
    input.llm = llm;
  }
  if (Array.isArray(input.requirements)) input.requirements = input.requirements.map(shallowIfObject);
  if ('templates' in agent) {
    const given = (input.templates ?? {}) as Record<string, unknown>;
    const own = prompts.map((name) => [
      name,
      (standard: unknown): unknown => {
        const choice = given[name];
        const chosen = typeof choice === 'function' ? (choice(standard) ?? standard) : (choice ?? standard);
        return validators?.template(chosen) ?? (chosen as Template).fork?.() ?? chosen;
      },
    ]);
    input.templates = { ...given, ...Object.fromEntries(own) };
  }
  return agent;
}

/**
 * Spares a model that has no cache the work of asking it: BeeAI serializes the whole transcript and all tools for that, 40 %
 * of an agent's processor time.
 */
export function withoutCache(llm: unknown): void {
  if (!isObject(llm) || typeof llm.createCacheAccessor !== 'function' || spared.has(llm)) return;
  if (!isObject(llm.cache) || llm.cache.enabled !== false) return;
  spared.add(llm);
  const ask = llm.createCacheAccessor as (input: unknown) => Promise<unknown>;
  const value = (input: unknown): Promise<unknown> =>
    (llm.cache as { enabled?: unknown }).enabled === false ? noCache() : ask.call(llm, input);
  Object.defineProperty(llm, 'createCacheAccessor', { value, configurable: true, writable: true });
}

const spared = new WeakSet<object>();

async function noCache(): Promise<object> {
  return { key: '', value: undefined, resolve: () => undefined, reject: async () => undefined };
}

/** An emitter that nobody else writes to; who listens to the original hears it too. */
export function ownEmitter(emitter: unknown, creator: object): unknown {
  if (!isEmitter(emitter)) return emitter;
  const { namespace, context } = emitter;
  const Class = emitter.constructor as new (options: object) => Emitter;
  const own = new Class({ namespace: [...namespace], context, creator });
  own.pipe(emitter);
  return own;
}

function isEmitter(value: unknown): value is Emitter {
  return isObject(value) && Array.isArray(value.namespace) && typeof value.pipe === 'function';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function shallow<T extends object>(value: T): T {
  return Object.assign(Object.create(Object.getPrototypeOf(value) as object) as T, value);
}

function shallowIfObject(value: unknown): unknown {
  return isObject(value) ? shallow(value) : value;
}

function cannot(why: string): RxhiveError {
  return new RxhiveError(
    'INVALID_OPTION',
    `fromBeeAgent cannot copy this agent: ${why}. Give a function that makes one: fromBeeAgent(() => new ...).`,
  );
}
