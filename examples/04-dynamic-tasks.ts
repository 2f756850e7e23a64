// A planner decides at run time what there is to do: each step of its plan becomes a task.
import { type Agent, AgentTask, WorkflowOrchestrator } from '../lib/index.js';

/** Pretends to ask a model for a plan. */
const planner: Agent = async (task, ctx) => {
  await ctx.sleep(100);
  return ['collect', 'compare', 'write'].map((step) => `${step} what is known of ${task.data}`);
};

/** Does one step; knows what the step before it found. */
const executor: Agent = async (task, ctx) => {
  await ctx.sleep(50);
  const before = Object.keys(task.inputs).join() || 'nothing';
  return `${task.data} (after ${before})`;
};

const orchestrator = new WorkflowOrchestrator({
  agents: { planner, executor },
  parallelExecution: true,
  dynamicTasks: true,
});

orchestrator.addTask(new AgentTask({ id: 'create_plan', agentType: 'planner', data: 'bees' }));
orchestrator.onTaskComplete('create_plan', (plan, addTask) => {
  for (const [i, step] of (plan as string[]).entries())
    addTask(
      new AgentTask({
        id: `execute_step_${i}`,
        agentType: 'executor',
        data: step,
        dependencies: i === 0 ? [] : [`execute_step_${i - 1}`],
      }),
    );
});

const { status, results } = await orchestrator.executeWorkflow();
console.log(status);
for (const [id, value] of results) console.log(`${id}: ${value}`);
