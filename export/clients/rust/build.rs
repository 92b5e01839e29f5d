//! Links to the library that USP_LIBRARY names (any libNAME.so), or to -lusp.
use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=USP_LIBRARY");
    println!("cargo:rerun-if-changed=build.rs");
    let Some(library) = env::var_os("USP_LIBRARY") else {
        println!("cargo:rustc-link-lib=dylib=usp");
        return;
    };
    let path = Path::new(&library);
    let name = path
        .file_name()
        .and_then(|file| file.to_str()?.strip_prefix("lib")?.strip_suffix(".so"))
        .expect("USP_LIBRARY must be the path of a libNAME.so");
    if let Some(folder) = path.parent() {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    println!("cargo:rustc-link-lib=dylib={name}");
}
