/** A compiled schema, as Ajv makes it. */
type Validator = (value: unknown) => boolean;

/** The part of BeeAI that compiles schemas. */
interface SchemaModule {
  createSchemaValidator(schema: unknown, options?: object): Validator;
  toJsonSchema(schema: unknown): object;
}

interface Template {
  config: { readonly schema: object; readonly defaults: object };
  validateInput(input: unknown): void;
}

interface Tool {
  validateInput(schema: unknown, input: unknown): void;
}

let schemas: Promise<SchemaModule | undefined> | undefined;
const compiled = new Map<string, Validator>();

/**
 * How prompts and final answers are checked without compiling their schemas each time: beeai-framework 0.1.30 spends 85 %
 * of an agent's processor time on that. What does not pass is given to the method of BeeAI, which says why.
 */
export class BeeValidators {
  readonly #schemas: SchemaModule;

  private constructor(schemas: SchemaModule) {
    this.#schemas = schemas;
  }

  /** Undefined where BeeAI is not what it was: then it checks by itself. */
  static async load(): Promise<BeeValidators | undefined> {
    const specifier = 'beeai-framework/internals/helpers/schema';
    schemas ??= import(specifier).then(
      (module: Partial<SchemaModule>) =>
        typeof module.createSchemaValidator === 'function' && typeof module.toJsonSchema === 'function'
          ? (module as SchemaModule)
          : undefined,
      () => undefined,
    );
    const found = await schemas;
    return found === undefined ? undefined : new BeeValidators(found);
  }

  /** A template of its own, whose defaults can be changed. */
  template(template: unknown): unknown {
    if (!isTemplate(template)) return template;
    const { config } = template;
    const own = Object.assign(Object.create(Object.getPrototypeOf(template) as object) as Template, template);
    own.config = { ...config, defaults: { ...config.defaults } };
    const passes = this.#validator(config.schema, { coerceTypes: false });
    own.validateInput = (input) => {
      if (!passes(input)) template.validateInput(input);
    };
    return own;
  }

  /** Changes a tool that belongs to one run. */
  tool(tool: Tool): void {
    const check = tool.validateInput;
    tool.validateInput = (schema, input) => {
      if (!this.#validator(schema, {})(input)) check.call(tool, schema, input);
    };
  }

  #validator(schema: unknown, options: object): Validator {
    const plain = this.#schemas.toJsonSchema(schema);
    const key = JSON.stringify([plain, options]);
    let found = compiled.get(key);
    if (found === undefined) {
      // Schemas of a program are few; those that a program makes up without end are not worth keeping.
      if (compiled.size >= 500) compiled.clear();
      found = this.#schemas.createSchemaValidator(plain, options);
      compiled.set(key, found);
    }
    return found;
  }
}

function isTemplate(value: unknown): value is Template {
  const { config, validateInput } = (value ?? {}) as Partial<Template>;
  return typeof config?.schema === 'object' && typeof validateInput === 'function';
}
