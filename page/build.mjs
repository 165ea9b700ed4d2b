/**
 * Bundles src/ with its two libraries into ../tinygrad_bn/viz/assets/, or into the folder given as argument:
 * page.js (minified), page.css (minified) and graphviz.wasm.gz.
 *
 * The first line of page.js carries a SHA-256 over everything that the build reads, so that a test can tell a bundle
 * that is older than its sources.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../tinygrad_bn/viz/assets"));

/** A digest of name and content of every source, in the order of the names. */
function digestOfSources() {
  const sources = readdirSync(join(here, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(here.length + 1).replaceAll("\\", "/"));
  const hash = createHash("sha256");
  for (const name of [...sources, ".npmrc", "build.mjs", "package.json", "package-lock.json"].sort()) {
    hash.update(`${name}\n${readFileSync(join(here, name), "utf8").replaceAll("\r\n", "\n")}\n`);
  }
  return hash.digest("hex");
}

/** What the page is made of besides this project's own code, for the banner. */
function libraries() {
  const version = (name) => JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8")).version;
  return `@viz-js/viz ${version("@viz-js/viz")} (MIT) with Graphviz (EPL-2.0) and Expat (MIT), svg-pan-zoom ${version("svg-pan-zoom")} (BSD-2-Clause)`;
}

/**
 * Takes the WebAssembly out of the library, where it is a string of 1 MB, so that it can be kept compressed; the page
 * hands it over as `wasmBinary`.
 */
const graphvizApart = {
  name: "graphviz apart",
  setup(setup) {
    setup.onLoad({ filter: /viz[\\/]lib[\\/]backend\.js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const start = text.indexOf("binaryDecode('");
      const end = text.indexOf("')}", start) + 2;
      if (start < 0 || end < 2) throw new Error("the library no longer holds its WebAssembly as a string");
      const literal = text.slice(start + "binaryDecode(".length, end - 1);
      const characters = new Function(`return ${literal}`)();
      const bytes = Uint8Array.from(characters, (character) => (~character.charCodeAt(0) >> 8) & character.charCodeAt(0));
      if (!WebAssembly.validate(bytes)) throw new Error("what was taken out of the library is no WebAssembly");
      writeFileSync(join(target, "graphviz.wasm.gz"), gzipSync(bytes, { level: 9 }));
      const changed = `${text.slice(0, start)}moduleArg["wasmBinary"]${text.slice(end)}`;
      // The home in the program's own file system, in memory, would look like a path of the machine that built the page.
      return { contents: changed.replaceAll(/\/home(?=\/web_user)/g, ""), loader: "js" };
    });
  },
};

mkdirSync(target, { recursive: true });
const shared = { bundle: true, minify: true, legalComments: "none", logLevel: "warning", absWorkingDir: here };
await build({
  ...shared,
  entryPoints: ["src/main.js"],
  outfile: join(target, "page.js"),
  format: "iife",
  target: "es2022",
  charset: "ascii",
  define: { "import.meta.url": '""' },
  banner: { js: `/* sources ${digestOfSources()} */\n/* Contains ${libraries()}; see LICENSES.txt. */` },
  plugins: [graphvizApart],
});
await build({ ...shared, entryPoints: ["src/page.css"], outfile: join(target, "page.css") });
