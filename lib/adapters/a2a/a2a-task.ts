/** A part of a message or artifact. */
export interface A2APart {
  /** `text`, `data` or `file`. */
  readonly kind: string;
  readonly text?: string;
  readonly data?: unknown;
  readonly [more: string]: unknown;
}

/** A message of an agent or a user. */
export interface A2AMessage {
  readonly kind: 'message';
  readonly parts: readonly A2APart[];
  readonly contextId?: string;
  readonly taskId?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** How a task stands. */
export interface A2AStatus {
  /** `submitted`, `working`, `input-required`, `auth-required`, `completed`, `failed`, `canceled`, `rejected`, `unknown`. */
  readonly state: string;
  readonly message?: A2AMessage;
}

/** Something that a task has made. */
export interface A2AArtifact {
  readonly artifactId: string;
  readonly name?: string;
  readonly parts: readonly A2APart[];
}

/** A task of a remote agent. */
export interface A2ATask {
  readonly kind: 'task';
  readonly id: string;
  readonly contextId: string;
  readonly status: A2AStatus;
  readonly artifacts?: readonly A2AArtifact[];
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What comes over a stream. */
export type A2AEvent =
  | A2AMessage
  | A2ATask
  | {
      readonly kind: 'status-update';
      readonly taskId: string;
      readonly contextId: string;
      readonly status: A2AStatus;
      readonly metadata?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'artifact-update';
      readonly taskId: string;
      readonly contextId: string;
      readonly artifact: A2AArtifact;
      /** The parts come behind those that the artifact has. */
      readonly append?: boolean;
      readonly lastChunk?: boolean;
    };

/**
 * It cannot be known whether the parts are more or all of an artifact: @a2a-js/sdk 0.3 loses `append` over REST. Taken as more,
 * as it speaks of chunks.
 */
export function isUnsure(task: A2ATask | undefined, event: A2AEvent): boolean {
  if (event.kind !== 'artifact-update' || event.append !== undefined || event.lastChunk === undefined)
    return false;
  return task?.artifacts?.some(({ artifactId }) => artifactId === event.artifact.artifactId) === true;
}

/** The task after an event; undefined: there is none. */
export function taskAfter(task: A2ATask | undefined, event: A2AEvent): A2ATask | undefined {
  if (event.kind === 'message') return task;
  // Servers may keep no metadata of updates.
  if (event.kind === 'task') return withMetadata(event, { ...task?.metadata, ...event.metadata });
  const { taskId: id, contextId } = event;
  const known: A2ATask = task ?? { kind: 'task', id, contextId, status: { state: 'working' } };
  if (event.kind === 'status-update')
    return withMetadata({ ...known, status: event.status }, { ...known.metadata, ...event.metadata });
  const more = event.append === true || isUnsure(task, event);
  return { ...known, artifacts: withArtifact(known.artifacts ?? [], event.artifact, more) };
}

function withMetadata(task: A2ATask, metadata: NonNullable<A2ATask['metadata']>): A2ATask {
  return Object.keys(metadata).length > 0 ? { ...task, metadata } : task;
}

function withArtifact(
  all: readonly A2AArtifact[],
  artifact: A2AArtifact,
  append: boolean,
): readonly A2AArtifact[] {
  const at = all.findIndex(({ artifactId }) => artifactId === artifact.artifactId);
  const before = all[at];
  if (before === undefined) return [...all, artifact];
  const parts = append ? [...before.parts, ...artifact.parts] : artifact.parts;
  return all.with(at, { ...before, ...artifact, parts });
}

/** Text of parts; data as JSON. Pieces of a streamed text belong together. */
export function partsText(parts: readonly A2APart[]): string {
  return parts
    .map(({ text, data }) => text ?? (data === undefined ? '' : JSON.stringify(data)))
    .filter((text) => text !== '')
    .join('');
}

/** Text of all artifacts, an empty line between two. */
export function artifactsText({ artifacts = [] }: A2ATask): string {
  return artifacts
    .map(({ parts }) => partsText(parts))
    .filter((text) => text !== '')
    .join('\n\n');
}
