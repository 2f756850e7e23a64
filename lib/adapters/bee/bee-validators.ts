/** A compiled schema, as Ajv makes it. */
type Validator = (value: unknown) => boolean;

/** The parts of BeeAI that compile schemas, and that check the input of tools. */
interface Modules {
  createSchemaValidator(schema: unknown, options?: object): Validator;
  toJsonSchema(schema: unknown): object;
  readonly Tool: { readonly prototype: { readonly validateInput: Tool['validateInput'] } };
}

interface Template {
  config: { readonly schema: object; readonly defaults: object };
  validateInput(input: unknown): void;
}

interface Tool {
  validateInput(schema: unknown, input: unknown): void;
}

/** How schemas of one kind are compiled, and those that were: by object, where that is used again, and by what they say. */
interface Kind {
  readonly options: object;
  readonly known: WeakMap<object, Validator>;
  readonly said: Map<string, Validator>;
}

const kindOf = (options: object): Kind => ({ options, known: new WeakMap(), said: new Map() });
/** What BeeAI or zod has made needs no check by the schema of schemas, which takes longest. */
const sound = { validateSchema: false };
const templates = kindOf({ ...sound, coerceTypes: false });
const zodInputs = kindOf(sound);
const inputs = kindOf({});
let validators: Promise<BeeValidators | undefined> | undefined;

/**
 * How prompts, and inputs of tools and final answers, are checked without compiling their schemas each time:
 * beeai-framework 0.1.30 spends 85 % of an agent's processor time on that. What does not pass is given to the method of
 * BeeAI, which says why.
 */
export class BeeValidators {
  readonly #modules: Modules;

  private constructor(found: Modules) {
    this.#modules = found;
  }

  /** Undefined where BeeAI is not what it was: then it checks by itself. */
  static async load(): Promise<BeeValidators | undefined> {
    validators ??= loaded().then(
      async (found) => {
        if (found === undefined) return undefined;
        const made = new BeeValidators(found);
        for (const prompt of await prompts()) made.#prompt(prompt);
        return made;
      },
      () => undefined,
    );
    return validators;
  }

  /** The default prompts are shared by all agents, those too that others hand over to. */
  #prompt(template: Template): void {
    const { validateInput } = template;
    if (Object.hasOwn(template, 'validateInput')) return;
    const value = (input: unknown): void => {
      if (!this.#validator(template.config.schema, templates)(input)) validateInput.call(template, input);
    };
    Object.defineProperty(template, 'validateInput', { value, configurable: true, writable: true });
  }

  /** A template of its own, whose defaults can be changed. */
  template(template: unknown): unknown {
    if (!isTemplate(template)) return template;
    const { config } = template;
    const own = Object.assign(Object.create(Object.getPrototypeOf(template) as object) as Template, template);
    own.config = { ...config, defaults: { ...config.defaults } };
    const passes = this.#validator(config.schema, templates);
    own.validateInput = (input) => {
      if (!passes(input)) template.validateInput(input);
    };
    return own;
  }

  /** Changes how a tool checks its input, unless it has a way of its own: who calls it sees no difference. */
  tool(found: unknown): void {
    const { validateInput } = this.#modules.Tool.prototype;
    const tool = found as Tool | undefined;
    if (tool?.validateInput !== validateInput) return;
    const value = (schema: unknown, input: unknown): void => {
      const kind = typeof schema === 'object' && schema !== null && '_def' in schema ? zodInputs : inputs;
      if (!this.#validator(schema, kind)(input)) validateInput.call(tool, schema, input);
    };
    Object.defineProperty(tool, 'validateInput', { value, configurable: true, writable: true });
  }

  #validator(schema: unknown, { options, known, said }: Kind): Validator {
    // Data can be changed, schemas of zod cannot; the templates' are data that BeeAI keeps to itself.
    const isLasting = typeof schema === 'object' && schema !== null && known !== inputs.known;
    const again = isLasting ? known.get(schema) : undefined;
    if (again !== undefined) return again;
    const plain = this.#modules.toJsonSchema(schema);
    const key = JSON.stringify(plain);
    let found = said.get(key);
    if (found === undefined) {
      // Schemas of a program are few; those that a program makes up without end are not worth keeping.
      if (said.size >= 500) said.clear();
      found = this.#modules.createSchemaValidator(plain, options);
      said.set(key, found);
    }
    if (isLasting) known.set(schema, found);
    return found;
  }
}

async function loaded(): Promise<Modules | undefined> {
  const names = ['internals/helpers/schema', 'tools/base'];
  const parts = await Promise.all(names.map((name): Promise<object> => import(`beeai-framework/${name}`)));
  const found = Object.assign({}, ...parts) as Partial<Modules>;
  const { createSchemaValidator, toJsonSchema, Tool } = found;
  const all = [createSchemaValidator, toJsonSchema, Tool?.prototype?.validateInput];
  return all.every((one) => typeof one === 'function') ? (found as Modules) : undefined;
}

async function prompts(): Promise<Template[]> {
  const kinds = ['requirement', 'react', 'toolCalling'];
  const found = await Promise.allSettled(
    kinds.map((kind): Promise<object> => import(`beeai-framework/agents/${kind}/prompts`)),
  );
  return found
    .flatMap((one) => (one.status === 'fulfilled' ? Object.values(one.value) : []))
    .filter(isTemplate);
}

function isTemplate(value: unknown): value is Template {
  const { config, validateInput } = (value ?? {}) as Partial<Template>;
  return typeof config?.schema === 'object' && typeof validateInput === 'function';
}
