import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { guardedControllers } from '../../lib/kernel/guarded-signal.js';

test('one listener of many signals hears each of them, once, with the signal as `this`', () => {
  const controllerOf = guardedControllers('A listener', (error) => {
    throw error;
  });
  const controllers = [controllerOf(), controllerOf()];
  const heard: unknown[] = [];
  function listener(this: unknown): void {
    heard.push(this);
  }
  for (const { signal } of controllers)
    for (let i = 0; i < 2; i++) signal.addEventListener('abort', listener);
  controllers[1]?.signal.removeEventListener('abort', listener);
  controllers[1]?.signal.addEventListener('abort', listener);
  for (const controller of controllers) controller.abort();
  assert.is(heard.length, 2);
  assert.ok(controllers.every(({ signal }, i) => heard[i] === signal));
});

test('it is a signal for the platform, and others are left as they are', () => {
  const faults: unknown[] = [];
  const own = guardedControllers('A listener', (error) => faults.push(error))();
  assert.instance(own.signal, AbortSignal);
  assert.is(String(own.signal), String(new AbortController().signal));
  const any = AbortSignal.any([own.signal]);
  own.signal.onabort = () => {
    throw new Error('boom');
  };
  own.abort(new Error('enough'));
  assert.is(any.reason, own.signal.reason);
  assert.is(faults.length, 1);
  const plain = new AbortController().signal;
  assert.is(plain.addEventListener, AbortSignal.prototype.addEventListener);
});

test.run();
