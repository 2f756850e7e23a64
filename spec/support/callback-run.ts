import { callback, typed, workflow } from '../../lib/index.js';

/** An order that a bank has to confirm. A process of `FILE` asks and ends; one of `FILE TOKEN VALUE` answers and goes on. */
const [file = '', token, value] = process.argv.slice(2);
const sent: string[] = [];
const shop = workflow({ name: 'shop', concurrency: 1 });
const paid = shop.task('pay', {
  run: (_, ctx) =>
    ctx.ask(
      callback(typed<{ amount: number }>(), {
        url: 'https://shop.example/hive/',
        send: (address) => void sent.push(address.token, String(address.url)),
      }),
    ),
});
shop.task('pack', { run: () => 'packed' });
shop.task('ship', { dependencies: { paid }, run: ({ paid }) => `shipped for ${paid.amount}` });

const result = await (token === undefined
  ? shop.run({ store: file, runId: 'order', suspend: 'exit' }).result()
  : shop.answer(file, 'order', token, JSON.parse(value ?? '')));
const { status, questions, results } = result;
console.log(
  JSON.stringify({ status, questions, sent, shipped: results.get('ship'), packed: results.get('pack') }),
);
