#!/usr/bin/env node
import { main } from './dispatch.js';
import { endWith } from './process-end.js';

endWith(main, process.argv.slice(2));
