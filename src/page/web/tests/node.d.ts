// SPDX-License-Identifier: MIT
// The little of Node.js that tests use: its own types would be taken for the browser's.
declare module "node:test" {
  export function test(name: string, run: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  interface Assert {
    (value: unknown, message?: string): asserts value;
    ok(value: unknown, message?: string): asserts value;
    equal(actual: unknown, expected: unknown, message?: string): void;
    notEqual(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    match(text: string, pattern: RegExp, message?: string): void;
    doesNotMatch(text: string, pattern: RegExp, message?: string): void;
    throws(run: () => unknown, expected?: RegExp | ((error: unknown) => boolean)): void;
    rejects(run: Promise<unknown> | (() => Promise<unknown>), expected?: RegExp | ((error: unknown) => boolean)): Promise<void>;
  }
  const assert: Assert;
  export default assert;
}
