import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mapReduce } from './map-reduce.js';
import { scenario } from './support/scenario.js';

scenario('map-reduce', 'four documents, three models at once, one result', { unit: '1s' }, (tools) => {
  const { agent, flow, expectTask, expectTimeline, after } = tools;
  flow(mapReduce, {
    agents: {
      list: agent('-(l|)', { l: ['a', 'b', 'c', 'd'] }),
      'map a': agent('----(s|)', { s: 'aaaa' }),
      'map b': agent('--(s|)', { s: 'bb' }),
      'map c': agent('---(s|)', { s: 'ccc' }),
      'map d': agent('--(s|)', { s: 'ddddd' }),
    },
  });
  expectTask('reduce').toBe('-----(r|)', { r: 5 });
  expectTimeline().toBe(`
    list     =|
    map a    _====|
    map b    _==|
    map c    _===|
    map d    _::==|
    count a  _....|
    count b  _..|
    count c  _...|
    count d  _....|
    reduce   _....|
  `);
  after((result) => assert.equal(result.state, { words: 14 }));
});

test.run();
