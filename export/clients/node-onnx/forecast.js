// Prints the quantiles that an ONNX model predicts for rows: one line a row, 17 significant digits.
//   node forecast.js MODEL_FOLDER ROWS.json      ROWS.json: [[…], …] or {"rows": [[…], …]}
import { createHash } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import ort from "onnxruntime-node";

/** The manifest of a model and its ONNX file, whose SHA-256 must be the one the manifest says. */
function read(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  if (manifest.kind !== "usp-model" || manifest.schema !== 1 || manifest.format !== "onnx")
    throw new Error(`${folder} is not a model in ONNX that this program knows`);
  const bytes = readFileSync(join(folder, manifest.onnx.file));
  if (createHash("sha256").update(bytes).digest("hex") !== manifest.files[manifest.onnx.file].sha256)
    throw new Error(`${manifest.onnx.file} is damaged: its SHA-256 is not the manifest's`);
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

/** Writes all of a text, however little the pipe takes at a time. */
function print(text) {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

async function run(folder, path) {
  const { manifest, bytes } = read(folder);
  const given = JSON.parse(readFileSync(path, "utf8"));
  const rows = tensor(given.rows ?? given, manifest.signatures.predict.inputs[0]);
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 });
  try {
    const start = process.hrtime.bigint();
    const { quantiles } = await session.run({ rows }, ["quantiles"]);
    const time = Number(process.hrtime.bigint() - start) * 1e-3;
    const width = quantiles.data.length / rows.dims[0];
    for (let i = 0; i < rows.dims[0]; i++) {
      const line = quantiles.data.subarray(i * width, (i + 1) * width);
      print(Array.from(line, (q) => q.toPrecision(17)).join(",") + "\n");
    }
    console.error(`${rows.dims[0]} rows: ${time.toFixed(1)} us`);
  } finally {
    await session.release();
  }
}

if (process.argv.length !== 4) {
  console.error("usage: node forecast.js MODEL_FOLDER ROWS.json");
  process.exitCode = 2;
} else {
  run(...process.argv.slice(2)).catch((failure) => {
    console.error(failure.message);
    process.exitCode = 1;
  });
}
