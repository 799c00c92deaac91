// SPDX-License-Identifier: MIT
// node build.mjs --outdir DIR [--depfile FILE]   the page: index.html, page.js, page.css, favicon.svg
// node build.mjs --tests DIR                     tests/*.test.ts as modules for `node --test DIR`
// tools/bundle-page calls it where the packages are. The same sources give the same bytes, whatever folder they are in.
import * as esbuild from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { outdir: { type: "string" }, tests: { type: "string" }, depfile: { type: "string" } },
});
const common = { absWorkingDir: here, bundle: true, charset: "utf8", logLevel: "warning", metafile: true };

async function buildPage(folder) {
  const outdir = resolve(folder);
  mkdirSync(outdir, { recursive: true });
  const result = await esbuild.build({
    ...common, entryPoints: { page: "main.ts" }, outdir, format: "esm", target: ["es2022"], minify: true,
    legalComments: "none",
  });
  for (const name of ["index.html", "favicon.svg"]) copyFileSync(join(here, name), join(outdir, name));
  for (const name of readdirSync(outdir).filter((name) => /\.(js|css|html|svg)$/.test(name)))
    console.log(`${name} ${statSync(join(outdir, name)).size} bytes`);
  return Object.keys(result.metafile.inputs);
}

async function buildTests(folder) {
  const names = existsSync(join(here, "tests")) ? readdirSync(join(here, "tests")) : [];
  const tests = names.filter((name) => name.endsWith(".test.ts")).sort();
  if (tests.length === 0) throw new Error("there are no tests/*.test.ts");
  await esbuild.build({
    ...common, entryPoints: tests.map((name) => join("tests", name)), outdir: resolve(folder), format: "esm",
    platform: "node", target: ["node18"], outExtension: { ".js": ".mjs" }, loader: { ".css": "empty" },
  });
}

if (options.outdir) {
  const inputs = await buildPage(options.outdir);
  if (options.depfile) writeFileSync(options.depfile, inputs.join("\n") + "\n");
}
if (options.tests) await buildTests(options.tests);
