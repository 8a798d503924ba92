import { describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import * as z from 'zod';
import { openApiDocument } from '../../core/api/openapi.ts';
import { type Route, routeTable } from '../../core/api/route-table.ts';
import { importPolicies } from '../../core/admission/policy-import.ts';
import { problemCodes } from '../../core/problem/problem.ts';
import { readExceptionRows } from '../../functions/image-scan/exception-csv.ts';

type Operation = {
  operationId: string;
  security: unknown[];
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
};
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};

const document = openApiDocument('https://api.example/prod') as unknown as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(
    ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
  ),
);
const table = Object.entries<Route>(routeTable);
const operationOf = (key: string) => operations.find(([each]) => each === key)?.[1];

/** Every value of a member with this name, at any depth. */
function members(value: unknown, name: string): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value as Record<string, unknown>).flatMap(([key, each]) =>
    key === name ? [each] : members(each, name),
  );
}

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    expect(errors ?? []).toEqual([]);
    expect([valid, validator.version]).toEqual([true, '3.1']);
  });

  test('has exactly the routes of the table', () => {
    expect(operations.map(([key]) => key).sort()).toEqual(table.map(([key]) => key).sort());
  });

  test('resolves every reference within itself', () => {
    const references = members(document, '$ref');
    expect(references.length).toBeGreaterThan(10);
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    for (const reference of references) expect(known).toContain(reference);
    // None of them is but another reference, which might be to itself.
    for (const schema of Object.values(document.components.schemas))
      expect(schema).not.toHaveProperty('$ref');
    expect(members(document, '$defs')).toEqual([]);
  });

  test('names every operation once', () => {
    const names = operations.map(([, { operationId }]) => operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  test('lists every problem code', () => {
    const { Problem } = document.components.schemas as Record<
      string,
      { properties: { code: { enum: string[] } } }
    >;
    expect(Problem?.properties.code.enum).toEqual(Object.keys(problemCodes));
  });

  test('shows a scan report by the marks of each format, and imports by an example', () => {
    const { ScanReport } = document.components.schemas as Record<
      string,
      { anyOf: { description: string; required?: string[] }[] }
    >;
    expect(ScanReport?.anyOf.every(({ description }) => description !== '')).toBe(true);
    const marks = ScanReport?.anyOf.flatMap(({ required = [] }) => required);
    expect(marks).toEqual(
      expect.arrayContaining(['SchemaVersion', 'matches', 'bomFormat', 'runs', '@context', 'ClusterName']),
    );
    const imports = operations.flatMap(([, { requestBody }]) =>
      Object.entries(requestBody?.content ?? {}).filter(([type]) => type !== 'application/json'),
    );
    expect(imports.map(([type]) => type).sort()).toEqual(['application/yaml', 'text/csv']);
    const [csv, yaml] = ['text/csv', 'application/yaml'].map(
      (type) => imports.find(([each]) => each === type)?.[1].schema,
    ) as [{ example: string }, { example: string }];
    const rows = readExceptionRows(csv.example, Date.parse('2026-12-01T00:00:00Z'));
    expect(rows).toMatchObject([{ row: 2 }]);
    expect(rows[0]).not.toHaveProperty('faults');
    expect(importPolicies(yaml.example).map(({ name }) => name)).toEqual(['reject-failed']);
  });

  describe.each(table)('%s', (key, route) => {
    test('asks for a credential exactly where the table does', () => {
      expect(operationOf(key)?.security).toEqual(route.scopes === 'public' ? [] : [{ bearer: [] }]);
    });

    test('has the parameters of its schemas, those of its path required', () => {
      const { parameters = [] } = operationOf(key) ?? {};
      const inPath = [...key.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((each) => each.in === 'path').map(({ name }) => name)).toEqual(inPath);
      expect(parameters.filter((each) => each.in === 'query').map(({ name }) => name)).toEqual(
        Object.keys(route.query?.shape ?? {}),
      );
      for (const { in: place, required } of parameters) if (place === 'path') expect(required).toBe(true);
    });

    test('has a body where the table has one, and the status, type and schema of its answer', () => {
      const operation = operationOf(key);
      expect(operation?.requestBody !== undefined).toBe(route.body !== undefined);
      const { status, schema, type, redirect } = route.answer;
      const statuses = [String(status), ...(redirect ? ['302'] : []), 'default'];
      expect(Object.keys(operation?.responses ?? {}).sort()).toEqual(statuses.sort());
      const content = operation?.responses[String(status)]?.content;
      const media = content?.[type ?? 'application/json'];
      expect(media !== undefined).toBe(schema !== undefined || type !== undefined);
      const id = schema?.meta()?.id;
      if (id) expect(media?.schema).toEqual({ $ref: `#/components/schemas/${id}` });
      else if (schema instanceof z.ZodObject) {
        expect(Object.keys((media?.schema as { properties: object }).properties)).toEqual(
          Object.keys(schema.shape),
        );
      }
    });
  });
});
