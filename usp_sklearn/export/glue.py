"""C++ and C that make compiled graphs callable through the table of ``usp_native.h``."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from .graph import Port
from .lowering import Compiled
from .program import ALIGNMENT, Program

_SUPPORT = (resources.files(__package__) / "data/kernels.h").read_text()


def source(compiled: Compiled, program: Program, constants: Sequence[int]) -> str:
    """C++ that runs one compiled graph on arrays of doubles: ``uspn_<key>_new``, ``_run`` and ``_free``.

    ``constants`` are the places of the graph's constants in the block that all graphs share.
    """
    places, total = _layout(program)
    scratch, total = total, total + _rounded(program.scratch)
    slots = [i for i, b in enumerate(program.buffers) if b.kind == "constant"]
    take, give, n = [], [], len(compiled.inputs)
    shared = [*program.inputs.values(), *program.outputs.values()]
    for i, port in enumerate(compiled.inputs):
        # An input that the graph does not use has no buffer.
        if port.name in program.inputs:
            buffer = program.inputs[port.name]
            take.append(_call("take", i, port, buffer, places[buffer], program, shared.count(buffer) == 1, n))
    for i, port in enumerate(compiled.outputs):
        buffer = program.outputs[port.name]
        take.append(_call("lend", i, port, buffer, places[buffer], program, shared.count(buffer) == 1, n))
        give.append(_call("give", i, port, buffer, places[buffer], program, True, n))
    return _SOURCE.format(
        support=_SUPPORT,
        key=compiled.key,
        declarations=program.declarations,
        operands="".join(f"{{{buffer}, {at}, {size}}}, " for buffer, at, size in program.operands),
        widest=program.widest,
        body=program.body,
        n_buffers=len(program.buffers),
        memory=max(total, ALIGNMENT),
        scratch=scratch,
        places=", ".join(f"{{{i}, {at}}}" for i, at in places.items()),
        constants="".join(f"{{{i}, uspn_constants + {at}}}, " for i, at in zip(slots, constants, strict=True)),
        take="\n".join(line for line in take if line),
        give="\n".join(give),
    )


def _call(verb: str, i: int, port: Port, buffer: int, place: int, program: Program, alone: bool, n_inputs: int) -> str:
    """One border crossing; double precision is used where it lies, unless two ports share a buffer."""
    of = "inputs" if verb == "take" else "outputs"
    value = {"float64": "double", "float32": "float"}[port.dtype]
    n = program.buffers[buffer].size // (8 if value == "double" else 4)
    if verb == "lend":
        return (
            f"  lend(self, {buffer}, {place}, outputs[{i}], inputs, {n_inputs});" if alone and value == "double" else ""
        )
    if verb == "take" and alone and value == "double":
        return f"  take(self, {buffer}, {place}, inputs[{i}], {n});"
    return f"  {verb}<{value}>(self, {buffer}, {of}[{i}], {n});"


def _rounded(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


def _layout(program: Program) -> tuple[dict[int, int], int]:
    """Where each buffer lies in an instance's one piece of memory, and how much that is."""
    places, total = {}, 0
    for i, buffer in enumerate(program.buffers):
        if buffer.kind in ("temporary", "border"):
            places[i] = total
            total += _rounded(buffer.size)
    return places, total


_SOURCE = """{support}
extern "C" {{
{declarations}
extern char uspn_constants[] __attribute__((visibility("hidden")));
}}

namespace {{
const Operand operands[] = {{{operands}{{0, 0, 0}}}};
constexpr auto call = call_kernel<{widest}>;

bool run(void **buffer_table, void *scratch) {{
  (void)scratch;
{body}
  return true;
}}

typedef Instance<{n_buffers}, {memory}> Own;
const Place places[] = {{{places}}};
const Constant constants[] = {{{constants}{{0, nullptr}}}};
}}

extern "C" void *uspn_{key}_new(void) {{
  return instance_new<Own>(places, sizeof places / sizeof *places, constants, sizeof constants / sizeof *constants - 1);
}}

extern "C" void uspn_{key}_free(void *instance) {{ std::free(instance); }}

extern "C" int uspn_{key}_run(void *instance, const double *const *inputs, double *const *outputs) {{
  Own &self = *static_cast<Own *>(instance);
{take}
  if (!run(self.buffers, self.memory + {scratch})) return -1;
{give}
  return 0;
}}
"""


def table(keys: Sequence[str], batches: Sequence[int], offsets: Sequence[int], blobs: Mapping[str, Path]) -> str:
    """C that ties the compiled graphs, the manifest and the state together; ``offsets`` of the state's pieces.

    ``keys`` are of ``predict`` at each of ``batches``, of ``step`` if there is one, and perhaps of a faster ``step``.
    """
    manifest, state = blobs["manifest"], blobs.get("state")
    declared = "\n".join(
        f"void *uspn_{k}_new(void);\nvoid uspn_{k}_free(void *);\n"
        f"int uspn_{k}_run(void *, const double *const *, double *const *);"
        for k in keys
    )
    embedded = "\n".join(_BLOB.format(name=name, path=path) for name, path in blobs.items())
    columns = {part: ", ".join(f"uspn_{k}_{part}" for k in keys) for part in ("new", "free", "run")}
    return _TABLE.format(
        declared=declared,
        embedded=embedded,
        n=len(keys),
        n_batches=len(batches),
        batches=", ".join(map(str, batches)),
        **columns,
        step=_STEP.format(
            inputs=", ".join(f"state + {at}" for at in offsets),
            outputs=", ".join(f"outputs[0] + {at}" for at in offsets),
        )
        if offsets
        else "",
        manifest_bytes=manifest.stat().st_size,
        state=f"(const double *)uspn_state, {state.stat().st_size // 8}" if state else "0, 0",
        entry="step" if offsets else "0",
    )


_BLOB = """__asm__(
  ".pushsection .rodata\\n.balign 64\\n"
  ".globl uspn_{name}\\n.hidden uspn_{name}\\nuspn_{name}:\\n.incbin \\"{path}\\"\\n.byte 0\\n"
  ".popsection\\n");
extern const char uspn_{name}[] __attribute__((visibility("hidden")));"""

_STEP = """
static int step(void *instance, const double *state, const double *y, double *const outputs[6]) {{
  const double *inputs[] = {{{inputs}, y}};
  double *const out[] = {{{outputs}, outputs[1], outputs[2], outputs[3], outputs[4], outputs[5]}};
  const struct instance *self = instance;
  return run[self->step](self->parts[self->step], inputs, out);
}}
"""

_TABLE = """#include <stdlib.h>
#include "usp_native.h"

{declared}

{embedded}

enum {{ N = {n} }};
static void *(*const make[N])(void) = {{{new}}};
static void (*const drop[N])(void *) = {{{free}}};
static int (*const run[N])(void *, const double *const *, double *const *) = {{{run}}};
static const size_t batches[] = {{{batches}}};

enum {{ BATCHES = {n_batches} }};

/* step: which of the graphs, for this processor; the other has no part. */
struct instance {{
  int step;
  void *parts[N];
}};

static int fastest(void) {{
  if (N < BATCHES + 2) return BATCHES;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") ? BATCHES + 1
                                                                                                         : BATCHES;
}}

static void instance_free(void *instance) {{
  struct instance *self = instance;
  if (!self) return;
  for (int i = 0; i < N; ++i)
    if (self->parts[i]) drop[i](self->parts[i]);
  free(self);
}}

static void *instance_new(void) {{
  struct instance *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->step = fastest();
  for (int i = 0; i < N; ++i) {{
    if (i >= BATCHES && i != self->step) continue;
    if (!(self->parts[i] = make[i]())) {{
      instance_free(self);
      return NULL;
    }}
  }}
  return self;
}}

static int predict(void *instance, size_t which, const double *rows, double *const outputs[5]) {{
  return which < BATCHES ? run[which](((struct instance *)instance)->parts[which], &rows, outputs) : -2;
}}
{step}
const usp_native_v1 *usp_native_table(void) {{
  static const usp_native_v1 filled = {{
      sizeof filled, USP_NATIVE_VERSION, uspn_manifest, {manifest_bytes}, {state}, BATCHES, batches,
      instance_new, instance_free, predict, {entry}}};
  return &filled;
}}
"""
