export { SimulationScheduler } from '../kernel/simulation-scheduler.js';
export type { Changes } from '../replay/rebuild.js';
export { type Replay, replay } from '../replay/replay.js';
export { advance } from './advance.js';
export type { ConformanceCheck } from './conformance/check.js';
export { type LimiterConformanceOptions, limiterConformance } from './conformance/limiter.js';
export {
  type Exploration,
  ExploreError,
  type ExploreOptions,
  explore,
  playSchedule,
  type Subject,
} from './explore/explore.js';
export { defaultInvariants } from './explore/invariants.js';
export type { Invariant, ObservedRun, Violation } from './explore/observed-run.js';
export { MarbleError } from './explore/outcome.js';
export type { Crash, Perturbation, Schedule } from './explore/perturbation.js';
export type { TrialRunOptions } from './explore/trial.js';
export { type FakeRemote, type FakeRemoteOptions, fakeRemote } from './fake-remote.js';
export type { Agents, AnyBody } from './instrument.js';
export { MarbleMismatchError } from './marbles/difference.js';
export type { MarbleAgent, MarbleValue } from './marbles/marble-agent.js';
export {
  type MarbleExpectation,
  type MarbleOptions,
  type MarbleTools,
  marbles,
} from './marbles/marbles.js';
export {
  drawTimeline,
  type TimelinePicture,
  type TimelineRow,
  timelineAlphabet,
  timelineOf,
} from './marbles/timeline.js';
export { type TimelineSvgOptions, timelineSvg } from './marbles/timeline-svg.js';
export { record, type ToMarblesOptions, toMarbles } from './marbles/to-marbles.js';
export {
  type AnswerRule,
  OpenAIServer,
  type OpenAIServerOptions,
  type SeenRequest,
} from './openai/openai-server.js';
export type { Answer, ModelMessage, ModelRequest, OfferedTool, Reply } from './openai/openai-wire.js';
export { type Drawn, type FakeOptions, fakeAgent, lognormal, uniform } from './provider/fake-agent.js';
export {
  type ProviderAnswer,
  ProviderError,
  ProviderLedger,
  type ProviderOptions,
  type ProviderStats,
  type Verdict,
  VirtualProvider,
} from './provider/provider-ledger.js';
export { type SimulateOptions, type Simulation, simulate } from './simulate.js';
