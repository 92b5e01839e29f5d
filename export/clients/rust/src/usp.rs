//! usp.h for Rust: run an exported model, and let it go on learning.
//!
//! Handles are given back when dropped; failures are [`Error`]. A [`Model`] may be shared by threads; a [`Stream`] may
//! move to another thread and is used by one at a time, which `&mut` sees to.
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::ptr::{null, null_mut, NonNull};

mod c {
    use super::{c_char, c_void};

    pub const ABI_VERSION: u32 = 1;

    /// usp_model_description.
    #[repr(C)]
    pub struct Description {
        pub struct_size: u32,
        pub has_step: i32,
        pub n_levels: usize,
        pub n_horizons: usize,
        pub n_features: usize,
        pub n_exogenous: usize,
        pub n_telemetry: usize,
        pub n_weights: usize,
        pub n_state: usize,
        pub name: *const c_char,
        pub format: *const c_char,
        pub dtype: *const c_char,
    }

    extern "C" {
        pub fn usp_abi_version() -> u32;
        pub fn usp_last_error() -> *const c_char;
        pub fn usp_model_load(folder: *const c_char, options: *const c_void, model: *mut *mut c_void) -> i32;
        pub fn usp_model_free(model: *mut c_void);
        pub fn usp_model_info(model: *const c_void, info: *mut Description) -> i32;
        pub fn usp_model_levels(model: *const c_void, levels: *mut f64, capacity: usize, needed: *mut usize) -> i32;
        pub fn usp_stream_new(model: *const c_void, stream: *mut *mut c_void) -> i32;
        pub fn usp_stream_free(stream: *mut c_void);
        pub fn usp_stream_push(
            stream: *mut c_void,
            y: *const f64,
            n_y: usize,
            quantiles: *mut f64,
            capacity: usize,
            needed: *mut usize,
        ) -> i32;
        pub fn usp_stream_save(stream: *const c_void, path: *const c_char) -> i32;
        pub fn usp_stream_load(model: *const c_void, path: *const c_char, stream: *mut *mut c_void) -> i32;
    }
}

/// A call that failed: one of the USP_ constants of usp.h, and what usp_last_error() said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub status: i32,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

fn check(status: i32) -> Result<()> {
    match status {
        0 => Ok(()),
        // SAFETY: never NULL, and good until the next failure on this thread.
        _ => Err(Error { status, message: text(unsafe { c::usp_last_error() }) }),
    }
}

fn text(pointer: *const c_char) -> String {
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn path(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error { status: 1, message: format!("{name:?} holds a NUL character") })
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub format: String,
    pub dtype: String,
    pub has_step: bool,
    pub levels: usize,
    pub horizons: usize,
    pub features: usize,
    pub exogenous: usize,
    pub telemetry: usize,
    pub weights: usize,
    pub state: usize,
}

/// An exported model. It never changes.
pub struct Model(NonNull<c_void>);

// SAFETY: usp.h: any number of threads may use a model at once.
unsafe impl Send for Model {}
unsafe impl Sync for Model {}

impl Model {
    /// Loads a folder, or with `None` the model that is built into the library.
    pub fn load(folder: Option<&str>) -> Result<Self> {
        if unsafe { c::usp_abi_version() } < c::ABI_VERSION {
            return Err(Error { status: 7, message: "libusp is older than this program".into() });
        }
        let folder = folder.map(path).transpose()?;
        let mut handle = null_mut();
        check(unsafe { c::usp_model_load(folder.as_ref().map_or(null(), |f| f.as_ptr()), null(), &mut handle) })?;
        Ok(Self(NonNull::new(handle).expect("a model that was loaded is not NULL")))
    }

    pub fn info(&self) -> Result<Description> {
        // SAFETY: zeros are a valid value of every field.
        let mut info: c::Description = unsafe { std::mem::zeroed() };
        info.struct_size = std::mem::size_of::<c::Description>() as u32;
        check(unsafe { c::usp_model_info(self.0.as_ptr(), &mut info) })?;
        Ok(Description {
            name: text(info.name),
            format: text(info.format),
            dtype: text(info.dtype),
            has_step: info.has_step == 1,
            levels: info.n_levels,
            horizons: info.n_horizons,
            features: info.n_features,
            exogenous: info.n_exogenous,
            telemetry: info.n_telemetry,
            weights: info.n_weights,
            state: info.n_state,
        })
    }

    /// Levels of the quantiles, in (0, 1).
    pub fn levels(&self) -> Result<Vec<f64>> {
        let mut out = vec![0.0; self.info()?.levels];
        check(unsafe { c::usp_model_levels(self.0.as_ptr(), out.as_mut_ptr(), out.len(), null_mut()) })?;
        Ok(out)
    }

    /// A stream that stands where the model stood when it was exported.
    pub fn stream(&self) -> Result<Stream> {
        self.open(|out| unsafe { c::usp_stream_new(self.0.as_ptr(), out) })
    }

    /// A stream that goes on where the one that was saved to that file stood.
    pub fn load_stream(&self, file: &str) -> Result<Stream> {
        let file = path(file)?;
        self.open(|out| unsafe { c::usp_stream_load(self.0.as_ptr(), file.as_ptr(), out) })
    }

    fn open(&self, call: impl FnOnce(&mut *mut c_void) -> i32) -> Result<Stream> {
        let info = self.info()?;
        let mut handle = null_mut();
        check(call(&mut handle))?;
        let handle = NonNull::new(handle).expect("a stream that was made is not NULL");
        Ok(Stream { handle, quantiles: vec![0.0; info.horizons * info.levels] })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { c::usp_model_free(self.0.as_ptr()) }
    }
}

/// A series that the model follows and goes on learning from. It keeps its model in memory by itself.
pub struct Stream {
    handle: NonNull<c_void>,
    quantiles: Vec<f64>,
}

// SAFETY: usp.h: a stream is used by one thread at a time, whichever it is.
unsafe impl Send for Stream {}

impl Stream {
    /// Learns the newest value and its exogenous values; quantiles of the values to come, horizon by horizon.
    pub fn push(&mut self, y: &[f64]) -> Result<&[f64]> {
        let (out, width) = (self.quantiles.as_mut_ptr(), self.quantiles.len());
        check(unsafe { c::usp_stream_push(self.handle.as_ptr(), y.as_ptr(), y.len(), out, width, null_mut()) })?;
        Ok(&self.quantiles)
    }

    /// Writes the stream to a file, whole or not at all.
    pub fn save(&self, file: &str) -> Result<()> {
        let file = path(file)?;
        check(unsafe { c::usp_stream_save(self.handle.as_ptr(), file.as_ptr()) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        unsafe { c::usp_stream_free(self.handle.as_ptr()) }
    }
}
