import { test } from 'uvu';
import { pipeline } from './pipeline.js';
import { scenario } from './support/scenario.js';

scenario('pipeline', 'a slow stage in the middle sets the pace', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTimeline } = tools;
  const steps = { fetch: '-(p|)', summarise: '----(s|)', store: '-(o|)' };
  const agents = Object.fromEntries(
    Object.entries(steps).flatMap(([step, marbles]) =>
      ['one', 'two', 'three', 'four', 'five'].map((page) => [`${step}/${page}`, agent(marbles)]),
    ),
  );
  flow(pipeline, { agents });
  expectTimeline().toBe(`
    fetch            ?????????????|
    summarise        ?????????????????????|
    store            ??????????????????????|
    fetch/one        =|
    fetch/two        =|
    summarise/one    _====|
    fetch/three      _=|
    summarise/two    _::::====|
    store/one        _____=|
    fetch/four       _____=|
    summarise/three  _____::::====|
    store/two        _________=|
    fetch/five       _________=|
    summarise/four   _________::::====|
    store/three      _____________=|
    summarise/five   _____________::::====|
    store/four       _________________=|
    store/five       _____________________=|
  `);
});

test.run();
