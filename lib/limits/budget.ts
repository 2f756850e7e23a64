import { ClosingGate, type Gate, type Refusal } from '../graph/gate.js';
import { type Group, named } from '../graph/lane.js';
import type { TaskNode } from '../graph/node.js';
import { LimitExceededError, truncate, WorkflowCancelledError } from '../kernel/errors.js';
import { type BudgetLimit, type BudgetOptions, type BudgetState, budgetLimits } from '../model/budget.js';
import type { EventBody } from '../model/event.js';
import type { UsageReport } from '../model/usage.js';
import type { GatedParts, GatePorts } from './ports.js';

/** Share of a cap at which it warns. */
const warnAt = 0.8;

/** One cap of a budget while a run goes on. */
interface Cap {
  readonly limit: BudgetLimit;
  /** Nothing new starts from here on. */
  readonly soft: number;
  /** What runs is aborted beyond this. */
  readonly hard: number;
  spent: number;
  announced: 'nothing' | Told;
}

type Told = 'warned' | 'exhausted' | 'aborted';

/**
 * Lets nothing new in once a cap is reached, and stops what runs beyond a hard one. Calls are booked when an attempt
 * begins, so they are never passed; tokens and cost when a body reports them, so what runs can pass a soft cap.
 */
export class Budget extends ClosingGate implements Gate {
  readonly waitsFor = 'slot';
  readonly #group: Group | undefined;
  readonly #ports: GatePorts;
  readonly #caps: Cap[] = [];

  constructor(group: Group | undefined, options: BudgetOptions, ports: GatePorts) {
    super();
    this.#group = group;
    this.#ports = ports;
    const { hard = false } = options;
    for (const limit of budgetLimits) {
      const soft = options[limit] ?? Number.POSITIVE_INFINITY;
      const own = typeof hard === 'object' ? hard[limit] : hard ? soft : undefined;
      if (soft === Number.POSITIVE_INFINITY && own === undefined) continue;
      this.#caps.push({ limit, soft, hard: own ?? Number.POSITIVE_INFINITY, spent: 0, announced: 'nothing' });
    }
  }

  admits(node: TaskNode): boolean {
    return node.running !== undefined || node.definition.always === true || this.#spentUp() === undefined;
  }

  override acquire(node: TaskNode): void {
    if (node.running === undefined) this.#book('calls', 1);
  }

  charge(used: UsageReport): void {
    const closed = this.#spentUp();
    this.#book('calls', used.calls);
    this.#book('tokens', used.inputTokens + used.outputTokens);
    this.#book('cost', used.cost);
    if (closed !== undefined && this.#spentUp() === undefined) this.opened();
  }

  refuses(node: TaskNode): Refusal | undefined {
    const cap = this.#spentUp();
    if (cap === undefined || node.running !== undefined || node.definition.always === true) return undefined;
    const before = node.attempt > 0;
    const last = before ? node.extra?.attempts?.at(-1)?.error : undefined;
    return { status: before ? 'failed' : 'skipped', error: this.#error(cap, last) };
  }

  shareLeft(): number {
    return Math.min(...this.#caps.map((cap) => Math.max(0, 1 - cap.spent / leastCap(cap))));
  }

  reason(node: TaskNode): string {
    const cap = this.#spentUp();
    return cap === undefined ? 'its turn' : `${this.#name(cap)}, which is spent (${node.id})`;
  }

  standing(): readonly EventBody[] {
    return this.#caps.flatMap((cap) => (cap.announced === 'nothing' ? [] : [this.#told(cap, cap.announced)]));
  }

  /** Its caps, for the report. */
  get states(): BudgetState[] {
    return this.#caps.map(({ limit, soft, hard, spent, announced }) => ({
      ...named(this.#group),
      limit,
      spent,
      ...(Number.isFinite(soft) ? { cap: soft } : {}),
      ...(Number.isFinite(hard) ? { hardCap: hard } : {}),
      status: announced === 'exhausted' || announced === 'aborted' ? announced : 'within',
    }));
  }

  #spentUp(): Cap | undefined {
    return this.#caps.find((cap) => cap.spent >= leastCap(cap));
  }

  #book(limit: BudgetLimit, amount: number): void {
    const cap = amount === 0 ? undefined : this.#caps.find((one) => one.limit === limit);
    if (cap === undefined) return;
    cap.spent += amount;
    const least = leastCap(cap);
    if (cap.spent > cap.hard) this.#announce(cap, 'aborted');
    else if (cap.spent >= least) this.#announce(cap, 'exhausted');
    else if (cap.spent >= warnAt * least) this.#announce(cap, 'warned');
    else cap.announced = 'nothing';
  }

  /** Says and does it once. */
  #announce(cap: Cap, what: Told): void {
    if (cap.announced === what || cap.announced === 'aborted') return;
    const back = what === 'warned' && cap.announced === 'exhausted';
    cap.announced = what;
    const { watch, scheduler } = this.#ports;
    const group = this.#group;
    if (watch.active && !back) watch.emit(this.#told(cap, what));
    if (what === 'aborted') {
      const error = new WorkflowCancelledError('budget', this.#error(cap, undefined));
      if (group === undefined) scheduler.cancel(error);
      else scheduler.refusals.abort(group, error);
    }
    if (what !== 'warned') scheduler.refusals.refuse(this);
  }

  #told(cap: Cap, reason: Told): EventBody {
    const { limit, spent } = cap;
    const most = reason === 'aborted' ? cap.hard : leastCap(cap);
    return { type: 'budget', reason, ...named(this.#group), limit, spent, cap: most };
  }

  #name({ limit }: Cap): string {
    return this.#group === undefined
      ? `budget.${limit}`
      : `groups.${truncate(this.#group.name)}.budget.${limit}`;
  }

  #error(cap: Cap, cause: unknown): LimitExceededError {
    const name = this.#name(cap);
    const amount = cap.spent > cap.hard ? cap.hard : leastCap(cap);
    const message = `${name} is spent: ${rounded(cap.spent)} of ${amount}. Raise it, or see report.budgets for who spent it.`;
    return new LimitExceededError(name, amount, message, cause);
  }
}

/** Where nothing new starts; with a hard cap alone that one. */
function leastCap({ soft, hard }: Cap): number {
  return Math.min(soft, hard);
}

/** Without the noise of binary fractions. */
function rounded(amount: number): number {
  return Number(amount.toPrecision(12));
}

/** Books what earlier processes of the run have used. */
export function chargeEarlier(places: GatedParts, spent: ReadonlyMap<string | undefined, UsageReport>): void {
  for (const [name, used] of spent) {
    const group = name === undefined ? undefined : places.groups.get(name);
    for (const gate of [...places.gates, ...(group?.gates ?? [])]) gate.charge?.(used);
  }
}
