// Runs an exported model on rows, in the page: prints the quantiles and draws a fan chart.
//   index.html?model=FOLDER&rows=ROWS.json      ROWS.json: [[…], …] or {"rows": [[…], …], "y": […]}
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { fan } from "./chart.js";

const element = (id) => document.getElementById(id);

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The manifest of a model and its ONNX file, whose SHA-256 must be the one the manifest says. */
async function load(folder) {
  const manifest = await (await fetched(`${folder}/manifest.json`)).json();
  if (manifest.kind !== "usp-model" || manifest.schema !== 1 || manifest.format !== "onnx")
    throw new Error(`${folder} is not a model in ONNX that this page knows`);
  const { file } = manifest.onnx;
  const bytes = new Uint8Array(await (await fetched(`${folder}/${file}`)).arrayBuffer());
  if ((await sha256(bytes)) !== manifest.files[file].sha256)
    throw new Error(`${file} is damaged: its SHA-256 is not the manifest's`);
  return { manifest, bytes };
}

/** Rows as one tensor, in the precision that the model takes. */
function tensor(rows, port) {
  const width = port.shape[1];
  for (const [i, row] of rows.entries())
    if (row.length !== width || !row.every(Number.isFinite))
      throw new Error(`row ${i} does not hold ${width} finite numbers`);
  const data = (port.dtype === "float32" ? Float32Array : Float64Array).from(rows.flat());
  return new ort.Tensor(port.dtype, data, [rows.length, width]);
}

async function run() {
  const query = new URLSearchParams(location.search);
  const { manifest, bytes } = await load(query.get("model") ?? "model");
  const given = await (await fetched(query.get("rows") ?? "rows.json")).json();
  const rows = tensor(given.rows ?? given, manifest.signatures.predict.inputs[0]);

  ort.env.wasm.numThreads = 1; // more need a page that is isolated from others (COOP and COEP headers)
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const start = performance.now();
  const { quantiles } = await session.run({ rows }, ["quantiles"]);
  const time = performance.now() - start;

  const width = quantiles.data.length / rows.dims[0];
  const laws = Array.from({ length: rows.dims[0] }, (_, i) => quantiles.data.subarray(i * width, (i + 1) * width));
  element("numbers").textContent = laws
    .map((law) => Array.from(law, (q) => q.toPrecision(17)).join(","))
    .join("\n");
  element("name").textContent = `Forecast of ${manifest.name}, ${manifest.horizons[0]} step ahead`;
  element("status").textContent = `${laws.length} rows in ${time.toFixed(1)} ms, in this page`;
  fan(element("chart"), manifest.levels, laws, given.y ?? null); // the first horizon of each law
}

/** For whoever drives the page: settles when it has drawn, or says why not. */
window.finished = run().then(
  () => (document.title = "Forecast: done"),
  (failure) => {
    document.title = "Forecast: failed";
    element("status").className = "failed";
    element("status").textContent = failure.message;
    throw failure;
  },
);
