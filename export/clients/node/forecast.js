// Streams a CSV file through an exported model that learns as it goes; prints the quantiles after every value.
//   node forecast.js MODEL_FOLDER VALUES.csv [STREAM]
// MODEL_FOLDER "-" is the model inside the library. STREAM is a file where the stream is kept: it goes on from there if the
// file exists, and is saved there in the end.
import { existsSync, readFileSync, writeSync } from "node:fs";

/** Numbers of a line of CSV; null if it holds anything else. */
function numbers(line) {
  const out = line.split(",").map((field) => (field.trim() === "" ? NaN : Number(field)));
  return out.some(Number.isNaN) ? null : out;
}

/** Writes all of a text, however little the pipe takes at a time. */
function print(text) {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

async function run(folder, path, kept = null) {
  const { Model } = await import("./usp.js");
  const model = new Model(folder === "-" ? null : folder);
  const stream = model.stream(kept !== null && existsSync(kept) ? kept : null);
  const times = [];
  try {
    for (const [row, line] of readFileSync(path, "utf8").split(/\r?\n/).entries()) {
      if (line.trim() === "") continue;
      const y = numbers(line);
      if (y === null && row === 0) continue; // the header
      if (y === null) throw new Error(`${path}, line ${row + 1}: not numbers`);
      const start = process.hrtime.bigint();
      const quantiles = stream.push(...y);
      times.push(Number(process.hrtime.bigint() - start) * 1e-3);
      print(Array.from(quantiles, (q) => q.toPrecision(17)).join(",") + "\n");
    }
    if (kept !== null) stream.save(kept);
  } finally {
    stream.dispose();
    model.dispose();
  }
  if (times.length === 0) return;
  times.sort((a, b) => a - b);
  console.error(`median push latency: ${times[times.length >> 1].toFixed(1)} us`);
}

if (process.argv.length !== 4 && process.argv.length !== 5) {
  console.error("usage: node forecast.js MODEL_FOLDER VALUES.csv [STREAM]");
  process.exitCode = 2;
} else {
  run(...process.argv.slice(2)).catch((failure) => {
    console.error(failure.message);
    process.exitCode = 1;
  });
}
