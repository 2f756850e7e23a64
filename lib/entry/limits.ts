// Limiters of your own, and what limits, budgets and breakers tell.
export type { ProviderLimit } from '../kernel/http-headers.js';
export type { Adaptive, AdaptiveOptions } from '../model/adaptive.js';
export type { BreakerOptions, BreakerState } from '../model/breaker.js';
export type { BudgetLimit, BudgetReport, BudgetState, Caps } from '../model/budget.js';
export type {
  GroupLimits,
  Limiter,
  LimiterClient,
  LimiterSeat,
  LimiterState,
  LimiterWindow,
  Permit,
  PermitRequest,
  WindowName,
  WindowState,
} from '../model/limiter.js';
export type { LoadSample } from '../model/load.js';
export type { MemoryOptions } from '../model/memory.js';
export type { Price, UsageReport } from '../model/usage.js';
