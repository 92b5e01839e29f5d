"""C++ and C that make compiled graphs callable through the table of ``usp_native.h``.

The compiler's own header holds the order in which the graph's kernels are called, as a screenful of C++ a call:
thousands of them take the C++ compiler minutes. :func:`compact` rewrites each as one line with a table of operands.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from .lowering import Compiled

_KERNEL = re.compile(
    r"// Kernel Thunk\s*\{\s*std::array<XLA_CPU_KernelArg, (\d+)> args = \{(.*?)\};\s*"
    r"XLA_CPU_NumWorkGroups kernel_thread_dims = \{\s*(\d+),\s*(\d+),\s*(\d+),\s*\};"
    r".*?XLA_CPU_KernelError\* error = \(\*(\w+)\)\(&call_frame\);.*?return false;" + r"\s*\}" * 5,
    re.DOTALL,
)
_OPERAND = re.compile(r"buffer_table\[(\d+)\]\) \+ (\d+), (\d+)\}")
_CONSTANT = re.compile(r"\[\]\(char\* buffer\) -> std::pair<uint64_t, char\*> \{.*?\}\((\w+)\)", re.DOTALL)
_SYMBOLS = re.compile(r"(FunctionLibrarySymbolMap\(\) \{\s*return \{).*?(\};\s*\}\s*protected:)", re.DOTALL)

_SUPPORT = """
#include <array>
#include <cstring>
#include <utility>
#include "xla/backends/cpu/runtime/kernel_c_api.h"

namespace {
struct Operand { uint32_t buffer, offset, size; };

/* A kernel on a grid of work groups. */
bool call(XLA_CPU_Kernel *kernel, void **buffers, const Operand *operands, size_t n, uint64_t x, uint64_t y, uint64_t z) {
  XLA_CPU_KernelArg arguments[%(widest)d];
  for (size_t i = 0; i < n; ++i)
    arguments[i] = {static_cast<char *>(buffers[operands[i].buffer]) + operands[i].offset, operands[i].size};
  XLA_CPU_NumWorkGroups grid = {x, y, z};
  for (XLA_CPU_WorkGroupId at = {0, 0, 0}; at.z < z; ++at.z)
    for (at.y = 0; at.y < y; ++at.y)
      for (at.x = 0; at.x < x; ++at.x) {
        XLA_CPU_KernelCallFrame frame = {&grid, &at, n, arguments};
        if (kernel(&frame) != nullptr) return false;
      }
  return true;
}

inline std::pair<uint64_t, char *> constant(char *buffer) {
  uint64_t size;
  std::memcpy(&size, buffer, sizeof size);
  return {size, buffer + 64};
}

const Operand operands[] = {%(operands)s};
}
"""


def compact(header: str) -> str:
    """The compiler's header, the same in meaning, with less for the C++ compiler to do."""
    table: list[tuple[str, str, str]] = []
    place: dict[tuple[tuple[str, str, str], ...], int] = {}
    widest = 1

    def line(match: re.Match[str]) -> str:
        nonlocal widest
        used = tuple(_OPERAND.findall(match[2]))
        if len(used) != int(match[1]):
            return match[0]
        if used not in place:
            place[used] = len(table)
            table.extend(used)
        widest = max(widest, len(used))
        x, y, z = match[3], match[4], match[5]
        return f"if (!call({match[6]}, buffer_table, operands + {place[used]}, {len(used)}, {x}, {y}, {z})) return false;"

    text = _KERNEL.sub(line, header)
    text = _CONSTANT.sub(r"constant(\1)", text)
    # A map from names to kernels, for profilers.
    text = _SYMBOLS.sub(r"\1\2", text)
    # The sizes of its buffers are of use outside the class.
    text = text.replace("\n private:\n", "\n public:\n")
    operands = ",".join("{%s,%s,%s}" % u for u in table) or "{0,0,0}"
    return _SUPPORT % {"widest": widest, "operands": operands} + text


_SHIM = """#include "{header}"
#include "tensorflow/compiler/tf2xla/allocator.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {{
using Model = usp_compiled::{key};

/* What crosses the border is double; inside it may be single precision. */
template <class T> void convert(T *to, const double *from, size_t n) {{ for (size_t i = 0; i < n; ++i) to[i] = static_cast<T>(from[i]); }}
template <class T> void convert(double *to, const T *from, size_t n) {{ for (size_t i = 0; i < n; ++i) to[i] = from[i]; }}
void convert(double *to, const double *from, size_t n) {{ std::memcpy(to, from, n * sizeof *to); }}

struct Instance {{
  Model model;
  void *own[{n_inputs}];
}};
}}

extern "C" void *uspn_{key}_new(void) {{
  try {{
    /* The model's constructor does not look whether it got its memory. */
    void *probe = std::malloc(tensorflow::AlignedBufferBytes(
        {{Model::BufferAllocationInfos(), Model::kNumBuffers}}, true));
    if (probe == nullptr) return nullptr;
    std::free(probe);
    Instance *made = new Instance;
{own}
    return made;
  }} catch (const std::bad_alloc &) {{
    return nullptr;
  }}
}}

extern "C" void uspn_{key}_free(void *instance) {{ delete static_cast<Instance *>(instance); }}

extern "C" int uspn_{key}_run(void *instance, const double *const *inputs, double *const *outputs) {{
  Instance &self = *static_cast<Instance *>(instance);
  Model &model = self.model;
{take}
  if (!model.Run()) return -1;
{give}
  return 0;
}}
"""

_TAKE = """  /* Aligned input is read where it lies. */
  if (reinterpret_cast<uintptr_t>(inputs[{i}]) % 64 == 0) {{
    model.set_arg_feed_{name}_data(inputs[{i}]);
  }} else {{
    model.set_arg_feed_{name}_data(self.own[{i}]);
    convert(model.arg_feed_{name}_data(), inputs[{i}], model.arg_feed_{name}_count());
  }}"""
_TAKE_SINGLE = "  convert(model.arg_feed_{name}_data(), inputs[{i}], model.arg_feed_{name}_count());"
_GIVE = "  convert(outputs[{i}], model.result_fetch_{name}_data(), model.result_fetch_{name}_count());"


def shim(compiled: Compiled, header: str) -> str:
    """C++ that runs one compiled graph on arrays of doubles."""
    inputs, outputs = list(enumerate(compiled.inputs)), list(enumerate(compiled.outputs))
    take = [(_TAKE if p.dtype == "float64" else _TAKE_SINGLE).format(i=i, name=p.name) for i, p in inputs]
    return _SHIM.format(
        header=header,
        key=compiled.key,
        n_inputs=len(inputs),
        own="\n".join(f"    made->own[{i}] = made->model.arg_feed_{p.name}_data();" for i, p in inputs),
        take="\n".join(take),
        give="\n".join(_GIVE.format(i=i, name=p.name) for i, p in outputs),
    )


def table(batches: Sequence[int], *, step: bool, manifest: Path, state: Path | None) -> str:
    """C that ties the compiled graphs, the manifest and the state together."""
    keys = [f"predict_{n}" for n in batches] + (["step"] if step else [])
    declared = "\n".join(
        f"void *uspn_{k}_new(void);\nvoid uspn_{k}_free(void *);\n"
        f"int uspn_{k}_run(void *, const double *const *, double *const *);"
        for k in keys
    )
    blobs = {"manifest": manifest} | ({"state": state} if state is not None else {})
    embedded = "\n".join(
        f'__asm__(".pushsection .rodata\\n.balign 64\\nuspn_{name}:\\n.incbin \\"{path}\\"\\n'
        f'.byte 0\\n.popsection\\n");\nextern const char uspn_{name}[] __attribute__((visibility("hidden")));'
        for name, path in blobs.items()
    )
    columns = {part: ", ".join(f"uspn_{k}_{part}" for k in keys) for part in ("new", "free", "run")}
    return _TABLE.format(
        declared=declared,
        embedded=embedded,
        n=len(keys),
        n_batches=len(batches),
        batches=", ".join(map(str, batches)),
        **columns,
        step=_STEP.format(at=len(batches)) if step else "",
        manifest_bytes=manifest.stat().st_size,
        state=f"(const double *)uspn_state, {state.stat().st_size // 8}" if state else "0, 0",
        entry="step" if step else "0",
    )


_STEP = """
static int step(void *instance, const double *state, const double *y, double *const outputs[6]) {{
  const double *inputs[2] = {{state, y}};
  return run[{at}](((void **)instance)[{at}], inputs, outputs);
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

static void instance_free(void *instance) {{
  void **parts = instance;
  if (!parts) return;
  for (int i = 0; i < N; ++i)
    if (parts[i]) drop[i](parts[i]);
  free(parts);
}}

static void *instance_new(void) {{
  void **parts = calloc(N, sizeof *parts);
  for (int i = 0; parts && i < N; ++i)
    if (!(parts[i] = make[i]())) {{
      instance_free(parts);
      return NULL;
    }}
  return parts;
}}

static int predict(void *instance, size_t which, const double *rows, double *const outputs[5]) {{
  return which < {n_batches} ? run[which](((void **)instance)[which], &rows, outputs) : -2;
}}
{step}
const usp_native_v1 *usp_native_table(void) {{
  static const usp_native_v1 filled = {{
      sizeof filled, USP_NATIVE_VERSION, uspn_manifest, {manifest_bytes}, {state}, {n_batches}, batches,
      instance_new, instance_free, predict, {entry}}};
  return &filled;
}}
"""
