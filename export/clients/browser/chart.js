// A fan chart on a canvas: median, 50 % and 90 % bands, and what was observed.

const COLOURS = { wide: "#cfe1f5", narrow: "#8fb9e3", median: "#14508c", seen: "#222", grid: "#e6e6e6", text: "#555" };
const MARGIN = { left: 64, right: 16, top: 40, bottom: 44 };

/** Quantile at level u, linear between the levels there are. */
function at(levels, law, u) {
  const k = levels.findIndex((level) => level >= u);
  if (k < 0 || (k === 0 && levels[0] > u)) throw new Error(`the model's levels do not reach ${u}`);
  if (levels[k] === u) return law[k];
  return law[k - 1] + ((law[k] - law[k - 1]) * (u - levels[k - 1])) / (levels[k] - levels[k - 1]);
}

/** Round numbers, about n of them, that cover [low, high]. */
function ticks(low, high, n) {
  const raw = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((x) => x * power >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const out = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) out.push({ value: i * step, text: label(i * step, digits) });
  return out;
}

/** A number with that many decimals and a minus sign that is one. */
function label(value, digits) {
  return value.toFixed(digits).replace("-", "−");
}

/** Draws laws (each the quantiles at levels, ascending) over their row number; observed may be null. */
export function fan(canvas, levels, laws, observed) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "13px system-ui, sans-serif";

  const line = (u) => laws.map((law) => at(levels, law, u));
  const curves = { q05: line(0.05), q25: line(0.25), q50: line(0.5), q75: line(0.75), q95: line(0.95) };
  const all = [...curves.q05, ...curves.q95, ...(observed ?? [])];
  const low = Math.min(...all), high = Math.max(...all);
  const room = (high - low) * 0.05 || 1;
  const span = { low: low - room, high: high + room };
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const x = (i) => MARGIN.left + (laws.length > 1 ? i / (laws.length - 1) : 0.5) * inner.width;
  const y = (value) => MARGIN.top + ((span.high - value) / (span.high - span.low)) * inner.height;

  const path = (values, reverse = false) => {
    const order = [...values.keys()];
    if (reverse) order.reverse();
    for (const i of order) pen.lineTo(x(i), y(values[i]));
  };
  const band = (bottom, top, colour) => {
    pen.beginPath();
    path(top);
    path(bottom, true);
    pen.fillStyle = colour;
    pen.fill();
  };

  axes(pen, { width, height, inner, x, y, span, n: laws.length });
  band(curves.q05, curves.q95, COLOURS.wide);
  band(curves.q25, curves.q75, COLOURS.narrow);
  pen.beginPath();
  path(curves.q50);
  pen.strokeStyle = COLOURS.median;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
  pen.fillStyle = COLOURS.seen;
  for (const [i, value] of (observed ?? []).entries()) {
    pen.beginPath();
    pen.arc(x(i), y(value), 2, 0, 2 * Math.PI);
    pen.fill();
  }
  legend(pen, observed !== null);
}

function axes(pen, { height, inner, x, y, span, n }) {
  pen.strokeStyle = COLOURS.grid;
  pen.fillStyle = COLOURS.text;
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const { value, text } of ticks(span.low, span.high, 8)) {
    pen.beginPath();
    pen.moveTo(MARGIN.left, y(value));
    pen.lineTo(MARGIN.left + inner.width, y(value));
    pen.stroke();
    pen.fillText(text, MARGIN.left - 8, y(value));
  }
  pen.textAlign = "center";
  const bottom = MARGIN.top + inner.height;
  for (const { value, text } of ticks(0, n - 1, 8))
    if (Number.isInteger(value)) pen.fillText(text, x(value), bottom + 14);
  pen.fillText("row", MARGIN.left + inner.width / 2, height - 10);
  pen.save();
  pen.translate(14, MARGIN.top + inner.height / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText("value, in units of the series", 0, 0);
  pen.restore();
}

function legend(pen, seen) {
  const bar = (thick) => (left) => pen.fillRect(left, 16 - thick / 2, 20, thick);
  const dot = (left) => {
    pen.beginPath();
    pen.arc(left + 10, 16, 2.5, 0, 2 * Math.PI);
    pen.fill();
  };
  const entries = [
    ["median", COLOURS.median, bar(3)],
    ["50 % band", COLOURS.narrow, bar(12)],
    ["90 % band", COLOURS.wide, bar(12)],
    ...(seen ? [["observed", COLOURS.seen, dot]] : []),
  ];
  pen.textAlign = "left";
  let left = MARGIN.left;
  for (const [text, colour, mark] of entries) {
    pen.fillStyle = colour;
    mark(left);
    pen.fillStyle = COLOURS.text;
    pen.fillText(text, left + 26, 16);
    left += 26 + pen.measureText(text).width + 22;
  }
}
