import htm from 'htm';
import { type ComponentChildren, h, type VNode } from 'preact';

/** Preact elements from a template. Values in it become text or attributes, never markup. */
export const html = htm.bind(h) as (strings: TemplateStringsArray, ...values: unknown[]) => VNode;

/** What a component may hold. */
export type Children = ComponentChildren;
