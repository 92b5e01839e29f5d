"""A script, not a module: compile signatures of a SavedModel into object files, with TensorFlow alone in the process.

    python aot.py <SavedModel> <folder for objects> <key>:<signature>:<processor>...

Each job gives ``<key>.o``, ``<key>_constants.o`` and ``<key>.h``, which declares ``usp_compiled::<key>``.
"""

import os
import sys


def main(saved: str, folder: str, *jobs: str) -> None:
    """Compile one after the other."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from tensorflow.python.tools import saved_model_aot_compile, saved_model_utils

    # No fast-math: the same numbers as JAX. The compiler adds to these flags at every call.
    flags = "--xla_cpu_enable_fast_math=false"
    for job in jobs:
        key, signature, processor = job.split(":")
        os.environ["XLA_FLAGS"] = flags
        saved_model_aot_compile.aot_compile_cpu_meta_graph_def(
            checkpoint_path=os.path.join(saved, "variables", "variables"),
            meta_graph_def=saved_model_utils.get_meta_graph_def(saved, "serve"),
            signature_def_key=signature,
            output_prefix=os.path.join(folder, key),
            cpp_class=f"usp_compiled::{key}",
            target_triple="x86_64-pc-linux",
            target_cpu=processor,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
