// Commands as agents: any language, no SDK. Two think at once, a third one hangs and is ended with the child that it
// has started.
import { fromProcess } from '../lib/adapters/process/process.js';
import { workflow } from '../lib/index.js';

/** A program that reads a topic on stdin and speaks lines of JSON. */
const thinker = `
  const topic = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const say = (line) => console.log(JSON.stringify(line));
  let thought = 0;
  const think = () => {
    thought += 1;
    if (thought < 4) {
      say(topic + ', thought ' + thought);
      setTimeout(think, 50);
    } else say({ result: topic + ': thought through', usage: { inputTokens: 20, outputTokens: 12 } });
  };
  think();`;
const hanging = `require('child_process').spawn('sleep', ['600']); setInterval(() => {}, 1000);`;

const think = fromProcess<string, string>(process.execPath, ['-e', thinker]);
const hang = fromProcess<string, string>(process.execPath, ['-e', hanging], { grace: 200 });

const flow = workflow({ name: 'commands', concurrency: 3 });
const bees = flow.task('bees', { run: (_, ctx) => think('bees', ctx) });
const hives = flow.task('hives', { run: (_, ctx) => think('hives', ctx) });
flow.task('stuck', { timeout: 1_000, run: (_, ctx) => hang('x', ctx) });

const run = flow.run();
for (const task of [bees, hives]) run.values$(task).subscribe((value) => console.log(value));
const { tasks, report } = await run.result();
console.log(String(tasks.get('stuck')?.error));
console.log(`${report.usage.outputTokens} tokens`);
