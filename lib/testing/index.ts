export { SimulationScheduler } from '../kernel/simulation-scheduler.js';
export type { Changes } from '../replay/rebuild.js';
export { type Replay, replay } from '../replay/replay.js';
export { advance } from './advance.js';
export {
  type ConformanceCheck,
  type LimiterConformanceOptions,
  limiterConformance,
} from './conformance/limiter.js';
export { MarbleMismatchError } from './difference.js';
export {
  type Exploration,
  ExploreError,
  type ExploreOptions,
  explore,
  playSchedule,
  type Subject,
} from './explore.js';
export { type Drawn, type FakeOptions, fakeAgent, lognormal, uniform } from './fake-agent.js';
export { FakeProvider } from './fake-provider.js';
export type { Agents, AnyBody } from './instrument.js';
export { defaultInvariants } from './invariants.js';
export type { Invariant, Life, Violation } from './life.js';
export type { MarbleAgent, MarbleValue } from './marble-agent.js';
export {
  type MarbleExpectation,
  type MarbleOptions,
  type MarbleTools,
  marbles,
} from './marbles.js';
export {
  type AnswerRule,
  OpenAIServer,
  type OpenAIServerOptions,
  type SeenRequest,
} from './openai-server.js';
export type { Answer, ModelMessage, ModelRequest, OfferedTool, Reply } from './openai-wire.js';
export { MarbleError } from './outcome.js';
export {
  type ProviderAnswer,
  ProviderBooks,
  ProviderError,
  type ProviderOptions,
  type ProviderStats,
  type Verdict,
  VirtualProvider,
} from './provider-books.js';
export { type SimulateOptions, type Simulation, simulate } from './simulate.js';
export {
  drawTimeline,
  type TimelinePicture,
  type TimelineRow,
  timelineAlphabet,
  timelineOf,
} from './timeline.js';
export { type TimelineSvgOptions, timelineSvg } from './timeline-svg.js';
export { record, type ToMarblesOptions, toMarbles } from './to-marbles.js';
export type { TrialOptions } from './trial.js';
export type { Crash, Schedule, Twist } from './twist.js';
